//! Certificates for nodes: the network face of `weft-pki`, and how a cluster and its members begin.
//!
//! A join token is the only credential of a joining node, and grants exactly one role. Checking it,
//! taking one of its uses, giving the node its identifier and numbers, and writing the node down is
//! one transaction, so a certificate exists only for nodes that are in the state. The two standing
//! tokens are kept as they are, so that they can be shown again; of those made for a purpose only
//! a digest is kept, and they are told once.

mod addr;
mod admit;
mod bootstrap;
mod certify;
mod enrol;
mod error;
mod pace;
mod pending;
mod reattest;
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
pub use error::AddressError;
pub(crate) use error::CaError;
pub(crate) use pending::accept;
pub(crate) use pending::reject;
pub use server::CaService;
