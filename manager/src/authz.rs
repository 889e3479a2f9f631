//! Who may call what: one table, default deny, checked before a call reaches its service.

mod layer;
mod table;

#[cfg(test)]
mod tests;

pub use layer::Authorize;
pub use layer::AuthorizeLayer;
pub use table::authorize;

use std::fmt;
use weft_proto::NodeId;

/// The managers of the cluster, as known here.
pub trait Roll: Send + Sync {
    /// Whether a node that has proven to be a manager is one still. One that is unknown here is: a
    /// replica may be behind.
    fn manages(&self, node: NodeId) -> bool;
}

/// What a caller has proven to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody on this very node who may open the daemon's socket.
    LocalSocket,
    /// A node whose certificate says manager.
    Manager,
    /// A node whose certificate says worker.
    Worker,
    /// Somebody without a certificate, as every node is before it joins.
    Anonymous,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Caller::LocalSocket => "the local socket",
            Caller::Manager => "a manager",
            Caller::Worker => "a worker",
            Caller::Anonymous => "a caller without a certificate",
        })
    }
}

/// A call that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller has proven nothing, and the call needs a certificate.
    #[error("{path} needs a certificate: join the cluster first (weft cluster join)")]
    Unauthenticated {
        /// The call.
        path: String,
    },
    /// Not for this caller.
    #[error("{path} is not open to {caller}{remedy}")]
    Forbidden {
        /// The call.
        path: String,
        /// Who called.
        caller: Caller,
        /// What to do instead; empty, or beginning with a separator.
        remedy: &'static str,
    },
    /// There is no such call.
    #[error("{path} is not a call of this release: use the same release on all nodes")]
    Unknown {
        /// The call.
        path: String,
    },
}
