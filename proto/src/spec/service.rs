//! What a service should be.

use crate::name::Name;
use crate::shared::Shared;
use crate::spec::Labels;
use crate::spec::Mode;
use crate::spec::Schedule;
use crate::spec::TaskSpec;
use crate::spec::UpdateConfig;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// A transport protocol of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// A port that every node answers for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where the tasks listen.
    pub target: u16,
    /// Where the nodes listen; `None`: the cluster chooses one out of 30000-32767.
    pub published: Option<u16>,
}

/// A port that a task's own node answers for it, and no other node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where the task listens.
    pub target: u16,
    /// Where the node listens.
    pub published: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}/{}", self.published, self.target, self.protocol)
    }
}

/// How other tasks find the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointMode {
    /// By one address that stands for all its tasks.
    Vip,
    /// By the addresses of its tasks.
    Dnsrr,
}

/// A service as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique among services.
    pub name: Name,
    /// Free labels.
    pub labels: Labels,
    /// What each of its tasks is.
    pub task: Shared<TaskSpec>,
    /// How many.
    pub mode: Mode,
    /// How changes roll over.
    pub update: UpdateConfig,
    /// How a return to the previous spec rolls over.
    #[serde(default = "rollback")]
    pub rollback: UpdateConfig,
    /// When a job runs again; `None`: once. Never with services.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// How it is found.
    pub endpoint_mode: EndpointMode,
    /// Ports of the routing mesh.
    pub ports: Vec<Port>,
}

fn rollback() -> UpdateConfig {
    crate::defaults::ROLLBACK
}
