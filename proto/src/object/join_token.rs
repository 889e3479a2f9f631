//! A join token that was made for a purpose.

use crate::id::JoinTokenId;
use crate::id::NodeId;
use crate::object::Meta;
use crate::object::NodeDescription;
use crate::role::Role;
use crate::spec::Labels;
use crate::time::Timestamp;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;

/// A join token that was made for a purpose, as the state keeps it: enough to recognise its secret,
/// not enough to join. Has no `Serialize`, so that the digest is not shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// Kept by the store.
    pub meta: Meta,
    /// Which token; follows from its secret.
    pub id: JoinTokenId,
    /// What nodes that join with it become.
    pub role: Role,
    /// SHA-256 of its secret, by which the holder is recognised.
    pub sha256: [u8; 32],
    /// What people call it; may be empty.
    pub name: String,
    /// From when on it admits nobody; `None`: it does not expire.
    pub expires: Option<Timestamp>,
    /// How many more nodes it admits; `None`: without bound.
    pub uses_left: Option<u32>,
    /// How many it has admitted, those that wait included.
    pub used: u32,
    /// What nodes that join with it are labelled.
    pub labels: Labels,
    /// Nodes that join with it wait until a person accepts them.
    pub approve: bool,
    /// Those that wait, and those that were rejected, in the order in which they asked.
    pub pending: Vec<PendingNode>,
}

/// A machine that asked to join and waits for a person's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingNode {
    /// Follows from its key; the node's own, once it is accepted.
    pub id: NodeId,
    /// What it says about itself.
    pub description: NodeDescription,
    /// Where other nodes are to send its VXLAN packets.
    pub data_addr: IpAddr,
    /// Where its peers are to reach it; of one that is to be a manager.
    pub advertise_addr: Option<SocketAddr>,
    /// Since when it waits.
    pub asked: Timestamp,
    /// Somebody said no. Kept, so that the machine is told.
    pub rejected: bool,
}

impl IssuedToken {
    /// Whether it has expired at a moment.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it admitted as many nodes as it may.
    pub fn is_used_up(&self) -> bool {
        self.uses_left == Some(0)
    }

    /// The machines that wait for a word.
    pub fn waiting(&self) -> impl Iterator<Item = &PendingNode> {
        self.pending.iter().filter(|node| !node.rejected)
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("meta", &self.meta)
            .field("id", &self.id)
            .field("role", &self.role)
            .field("name", &self.name)
            .field("expires", &self.expires)
            .field("uses_left", &self.uses_left)
            .field("used", &self.used)
            .field("labels", &self.labels)
            .field("approve", &self.approve)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
