//! Who may call what: one table, default deny, checked before a call reaches its service.

mod ending;
mod layer;
mod table;

#[cfg(test)]
mod tests;

pub use ending::Ending;
pub use layer::Authorize;
pub use layer::AuthorizeLayer;
pub use table::authorize;
pub use table::authorize_stack;

use crate::acting::Grant;
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use weft_pki::UserProof;
use weft_proto::Name;
use weft_proto::NodeId;
use weft_proto::object::UserRole;

/// The managers and the people of the cluster, as known here.
pub trait Roll: Send + Sync {
    /// Whether a node that has proven to be a manager is one still. One that is unknown here is: a
    /// replica may be behind.
    fn manages(&self, node: NodeId) -> bool;

    /// What the person who has proven to be this one may do; `None` when there is no such user, or
    /// none with this key.
    fn grant(&self, user: &UserProof) -> Option<Grant>;

    /// Ready as soon as she may do something else than `grant`.
    fn regranted(&self, user: Arc<UserProof>, grant: Grant) -> BoxFuture<'static, ()>;
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
    /// A person, in the role that the state has for her.
    User(UserRole),
    /// Somebody without a certificate, as every node is before it joins.
    Anonymous,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::LocalSocket => f.write_str("the local socket"),
            Caller::Manager => f.write_str("a manager"),
            Caller::Worker => f.write_str("a worker"),
            Caller::User(role) => write!(f, "users of role {role}"),
            Caller::Anonymous => f.write_str("a caller without a certificate"),
        }
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
    /// A certificate of somebody whom the cluster does not know, or not any more.
    #[error(
        "user {name} was removed from this cluster, or was made anew and has another certificate: ask \
         an admin for one (weft user create)"
    )]
    UnknownUser {
        /// Who the certificate says it is.
        name: Name,
    },
    /// Not for somebody who is limited to a stack.
    #[error(
        "{path} is not open to users who are limited to a stack, as you are to {stack}: ask somebody \
         without that limit"
    )]
    OtherThanStack {
        /// The call.
        path: String,
        /// The stack.
        stack: Name,
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
