mod forward;
mod netns;
mod robustness;
mod server;
mod support;
mod table;
mod text;
