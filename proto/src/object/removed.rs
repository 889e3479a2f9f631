//! A machine that was part of the cluster.

use crate::addr::NodeNumber;
use crate::id::NetworkId;
use crate::id::NodeId;
use crate::time::Timestamp;
use std::net::IpAddr;

/// A node that was a member once. Its certificate may be valid for a day more and its tasks may
/// still run, so it is remembered: it is refused, and what it had is not given to others at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedNode {
    /// Which node it was; its identifier is never given again.
    pub id: NodeId,
    /// Its host name, for people.
    pub hostname: String,
    /// Which /24 of the ingress pool was its own.
    pub number: NodeNumber,
    /// When it was removed, by the clock of whoever proposed that.
    pub at: Timestamp,
    /// The addresses that its tasks had; empty again when it was removed long ago.
    pub addresses: Vec<(NetworkId, IpAddr)>,
}
