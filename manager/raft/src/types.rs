//! The one instantiation of openraft's types, and short names for the parts used here.

use crate::member::Member;
use crate::member::RaftId;
use crate::snapshot::SnapshotFile;
use crate::state_machine::Adapter;
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use weft_proto::NodeId;

/// An opaque command. Shared bytes: the log, the writer and every follower's stream hold the
/// same copy. Its contents may be secret, so neither `Debug` nor `Display` shows them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Bytes);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the membership records about a member besides its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) node_id: NodeId,
    pub(crate) addr: SocketAddr,
}

impl Peer {
    pub(crate) fn member(self, raft_id: RaftId) -> Member {
        Member {
            raft_id,
            node_id: self.node_id,
            addr: self.addr,
        }
    }
}

impl From<Member> for Peer {
    fn from(member: Member) -> Self {
        Peer {
            node_id: member.node_id,
            addr: member.addr,
        }
    }
}

/// openraft's storage suite makes up members of its own.
#[cfg(test)]
impl Default for Peer {
    fn default() -> Self {
        Peer {
            node_id: NodeId::from_entropy(0),
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
        }
    }
}

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Command,
        R = Vec<u8>,
        NodeId = RaftId,
        Node = Peer,
        AsyncRuntime = Runtime,
);

#[cfg(not(feature = "sim"))]
pub(crate) type Runtime = openraft_rt_tokio::TokioRuntime;
#[cfg(feature = "sim")]
pub(crate) type Runtime = crate::sim::Runtime;

pub(crate) type Raft = openraft::Raft<TypeConfig, Adapter>;
pub(crate) type LeaderId = openraft::alias::LeaderIdOf<TypeConfig>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::alias::PayloadOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<RaftId, Peer>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotFile>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;
pub(crate) type ServerMetrics = openraft::metrics::RaftServerMetrics<TypeConfig>;
pub(crate) type RpcError = openraft::errors::RPCError<TypeConfig>;
