//! Clusters for end-to-end tests: real daemons in network namespaces, used as people use them.
#![forbid(unsafe_code)]

mod cluster;
mod service;

pub use cluster::CEILING;
pub use cluster::Cluster;
pub use cluster::distinct;
pub use cluster::get_from;
pub use cluster::weft_binary;
pub use service::Whoami;
