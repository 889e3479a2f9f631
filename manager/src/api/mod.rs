//! What people and programs ask of a cluster; any manager answers.
//!
//! Each call reads a state, decides in a pure function of the file of its object, and proposes the
//! changes. Nothing is done here: the control loops see the changed state and act.
//!
//! A call that failed because no leader answered may still have become state. Asking again is safe:
//! with the same `request_id` it is done once, and without one, changes and removals of what is as
//! asked for succeed or say that it is gone, and creations are refused by name.

mod audit;
mod autolock;
mod autolock_calls;
mod backup;
mod ca;
mod ca_calls;
mod cluster;
mod error;
mod files;
mod keys;
mod logs;
mod material;
mod material_calls;
mod members;
mod mode;
mod network;
mod network_calls;
mod node;
mod port;
mod replica;
mod request;
mod server;
mod service;
mod service_calls;
mod shown;
mod stack;
mod target;
mod task;
mod token;
mod token_calls;
mod watch;

#[cfg(test)]
mod tests;

pub use members::Members;
pub use replica::Replica;
pub use server::ControlService;
