//! Certificates for nodes: the network face of `weft-pki`, and how a cluster and its members begin.
//!
//! A join token is the only credential of a joining node, and grants exactly one role. Checking it,
//! giving the node its identifier and numbers, and writing the node down is one transaction, so a
//! certificate exists only for nodes that are in the state.

mod addr;
mod admit;
mod bootstrap;
mod certify;
mod enrol;
mod error;
mod pace;
mod server;

#[cfg(test)]
mod tests;

pub(crate) use addr::check_advertise;
pub use bootstrap::BootstrapError;
pub use bootstrap::Founded;
pub use bootstrap::Founding;
pub use bootstrap::bootstrap;
pub use certify::CertifyError;
pub use certify::certify;
pub(crate) use enrol::new_node;
pub(crate) use enrol::root_of as root;
pub use error::AddressError;
pub use server::CaService;
