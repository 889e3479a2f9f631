//! Overlay networks on this node, and the tasks attached to them.
//!
//! - [`wanted`] (pure): what this node's networks and tasks need, out of
//!   [`Desired`](crate::desired::Desired).
//! - [`overlay`]: one namespace per network, with a bridge and the VXLAN device; the guard against
//!   false senders.
//! - [`task`]: one namespace per task, with its links, its virtual addresses and its resolver.
//!
//! Their nftables tables are kept as wanted by [`rules`](crate::rules).

mod error;
mod files;
#[cfg(test)]
mod fixture;
mod mac;
pub mod overlay;
mod place;
mod sight;
pub mod task;
pub mod wanted;

pub use error::NetworkError;
pub use error::told;
pub use files::TaskFiles;
pub use files::hosts_file;
pub use files::task_files;
pub use mac::mac_of;
pub use place::Places;
