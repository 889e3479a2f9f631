//! Hosts on one machine: network namespaces on a wire of their own, each with a real
//! `weft daemon` process in it, and the faults that happen to hosts (kill, cut).
//!
//! `weft demo`, the end-to-end tests and the benches stand on this crate. It knows the product
//! only as a program: the path of the `weft` binary is handed in, and every word said to it is in
//! [`contract`].
//!
//! Whatever a rig makes is written down in its directory first, so that a rig can be removed by
//! another process than the one that made it, also after that one was killed.
#![forbid(unsafe_code)]

pub mod cgroup;
pub mod command;
pub mod contract;
mod daemon;
pub mod demo;
pub mod enter;
mod error;
mod host;
pub mod layout;
pub mod leftovers;
mod link;
pub mod mounts;
mod netns;
pub mod poll;
pub mod process;
mod rig;
pub mod state;
pub mod subnet;
pub mod teardown;

pub use command::Output;
pub use daemon::DaemonState;
pub use error::RigError;
pub use error::chain;
pub use host::Host;
pub use netns::Netns;
pub use rig::CLIENT;
pub use rig::HOST_LINK;
pub use rig::Rig;
