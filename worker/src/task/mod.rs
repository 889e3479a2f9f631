//! The life of a task on this node: what is to be done next ([`next`], pure), what to launch
//! ([`launch`], pure), and the [`Controller`] that does it.

mod checker;
mod controller;
mod end;
mod fill;
mod health;
mod launch;
mod step;

pub use checker::Checker;
pub use controller::Controller;
pub use controller::Failure;
pub use controller::Job;
pub use end::refused;
pub use fill::Lookup;
pub use fill::missing;
pub use health::Health;
pub use launch::NodeFacts;
pub use launch::launch;
pub use launch::stop_policy;
pub use step::Step;
pub use step::View;
pub use step::next;
