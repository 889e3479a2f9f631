mod golden;
mod plan;
mod reference;
mod script;
mod steps;
