//! What a service should be.

use crate::name::Name;
use crate::spec::Labels;
use crate::spec::TaskSpec;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

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

/// How many tasks a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// This many.
    Replicated {
        /// The number of slots.
        replicas: u32,
    },
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

/// Whether a new task starts before the old one stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// Stop, then start.
    StopFirst,
    /// Start, then stop.
    StartFirst,
}

/// How tasks are replaced when the spec changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// How many slots at a time; zero: all at once.
    pub parallelism: u32,
    /// How long a new task must run before the next slot's turn.
    pub delay: Duration,
    /// Which comes first.
    pub order: UpdateOrder,
}

/// A service as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique among services.
    pub name: Name,
    /// Free labels.
    pub labels: Labels,
    /// What each of its tasks is.
    pub task: TaskSpec,
    /// How many.
    pub mode: Mode,
    /// How changes roll over.
    pub update: UpdateConfig,
    /// How it is found.
    pub endpoint_mode: EndpointMode,
    /// Ports of the routing mesh.
    pub ports: Vec<Port>,
}

impl ServiceSpec {
    /// How many tasks should run.
    pub fn replicas(&self) -> u32 {
        match self.mode {
            Mode::Replicated { replicas } => replicas,
        }
    }
}
