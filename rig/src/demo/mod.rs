//! `weft demo`: five nodes, a network and three services on this one machine, by the commands a
//! user would type.

mod down;
mod exec;
mod failure;
mod node;
mod probe;
mod stack;
mod status;
mod up;

pub use down::down;
pub use exec::exec;
pub use failure::DemoError;
pub use node::kill;
pub use node::start;
pub use status::DaemonLine;
pub use status::Status;
pub use status::status;
pub use up::Progress;
pub use up::Summary;
pub use up::up;
