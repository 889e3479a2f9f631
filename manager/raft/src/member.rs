//! Who takes part in consensus.

use std::fmt;
use std::net::SocketAddr;
use weft_proto::NodeId;

/// A member's number in the log. Never given out twice in a cluster: a machine that lost its
/// disk, or left and comes back, joins under a new one, because votes it gave under the old one
/// may be forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RaftId(pub u64);

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<u64> for RaftId {
    fn from(id: u64) -> Self {
        RaftId(id)
    }
}

/// A member and how to reach it, as the replicated membership records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its number in the log.
    pub raft_id: RaftId,
    /// The machine; what its certificate must name.
    pub node_id: NodeId,
    /// Where its [`crate::RaftService`] is served.
    pub addr: SocketAddr,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "member {} ({} at {})",
            self.raft_id,
            self.node_id.short(),
            self.addr
        )
    }
}
