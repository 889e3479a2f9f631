//! A machine of the cluster.

use crate::addr::NodeNumber;
use crate::id::NodeId;
use crate::key::TunnelKey;
use crate::object::Meta;
use crate::spec::Constraint;
use crate::spec::Generic;
use crate::spec::NodeSpec;
use crate::spec::Resources;
use crate::spec::Runtime;
use crate::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;

/// A machine of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Kept by the store.
    pub meta: Meta,
    /// Which node.
    pub id: NodeId,
    /// What people asked of it.
    pub spec: NodeSpec,
    /// What it says about itself.
    pub description: NodeDescription,
    /// What the managers see of it.
    pub status: NodeStatus,
    /// Which /24 of the ingress pool is its own.
    pub number: NodeNumber,
    /// Where other nodes send its VXLAN packets.
    pub data_addr: IpAddr,
    /// Present on managers.
    pub manager: Option<ManagerStatus>,
    /// What other nodes encrypt to it with; `None`: its agent told none.
    pub tunnel_key: Option<TunnelKey>,
}

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Its host name; not unique.
    pub hostname: String,
    /// Operating system, as in `linux`.
    pub os: String,
    /// Processor, as in `x86_64`.
    pub arch: String,
    /// Version of its `weft`.
    pub version: String,
    /// What it has in all.
    pub resources: Resources,
    /// What else it has, counted, as its operator said.
    #[serde(default)]
    pub generic: Generic,
    /// What it can run tasks with.
    pub runtimes: Vec<Runtime>,
    /// It can carry encrypted networks.
    #[serde(default)]
    pub encrypts: bool,
}

/// Whether a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Joined, and never heard of since.
    Unknown,
    /// Its agent holds a session.
    Ready,
    /// Its agent was silent for too long.
    Down,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NodeState::Unknown => "unknown",
            NodeState::Ready => "ready",
            NodeState::Down => "down",
        })
    }
}

/// What the managers see of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Whether it answers.
    pub state: NodeState,
    /// Why.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A manager's place among the managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerStatus {
    /// Its identity in the log; never reused.
    pub raft_id: u64,
    /// Where its peers and agents reach it.
    pub addr: SocketAddr,
}

impl Node {
    /// Whether it is as the constraint wants it. A label that it does not have is empty; letters
    /// compare without regard to case, as people write `SSD` and `ssd`.
    pub fn meets(&self, constraint: &Constraint) -> bool {
        let id;
        let role;
        let value = match constraint.key.as_str() {
            "node.id" => {
                id = self.id.to_string();
                id.as_str()
            }
            "node.role" => {
                role = self.spec.role.to_string();
                role.as_str()
            }
            "node.hostname" => &self.description.hostname,
            "node.platform.os" => &self.description.os,
            "node.platform.arch" => &self.description.arch,
            key => key
                .strip_prefix("node.labels.")
                .and_then(|label| self.spec.labels.get(label))
                .map_or("", String::as_str),
        };
        let among = |wanted: &String| value.eq_ignore_ascii_case(wanted);
        constraint.values.iter().any(among) == constraint.equal
    }
}
