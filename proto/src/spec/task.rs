//! What a task should run, where, and how it ends.

use crate::id::NetworkId;
use crate::name::Name;
use crate::spec::Constraint;
use crate::spec::FileRef;
use crate::spec::HealthCheck;
use crate::spec::HostPort;
use crate::spec::Hostname;
use crate::spec::Labels;
use crate::spec::SpreadPreference;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// What runs a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// A command of the node, in namespaces and a cgroup of its own.
    Process,
}

/// Amounts of what a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Billionths of a CPU. Zero: none asked for, or no limit.
    pub nano_cpus: u64,
    /// Bytes. Zero: none asked for, or no limit.
    pub memory_bytes: u64,
}

/// Amounts of things that are only counted, by name: `gpu`, `license`.
pub type Generic = BTreeMap<String, u64>;

/// When a task that ended is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// Never.
    None,
    /// When it failed.
    OnFailure,
    /// However it ended.
    Any,
}

/// How ended tasks are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// When.
    pub condition: RestartCondition,
    /// How long after the end.
    pub delay: Duration,
    /// How many times within `window`; zero: without bound.
    pub max_attempts: u32,
    /// The time over which attempts count; zero: for ever.
    pub window: Duration,
}

/// A network that a task attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRef {
    /// The network.
    pub id: NetworkId,
    /// More names of the service on this network.
    pub aliases: Vec<Name>,
}

/// A task as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// What runs it.
    pub runtime: Runtime,
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where the program starts; `None`: `/`.
    pub working_dir: Option<String>,
    /// The user it runs as; `None`: root.
    pub user: Option<String>,
    /// Its host name; `None`: the task's name.
    pub hostname: Option<Hostname>,
    /// What it may use at most.
    pub limits: Resources,
    /// What its node must have free.
    pub reservations: Resources,
    /// Whether and when it is replaced after its end.
    pub restart: RestartPolicy,
    /// Which nodes may run it.
    pub constraints: Vec<Constraint>,
    /// Over which groups of nodes its siblings spread, the first one foremost.
    #[serde(default)]
    pub preferences: Vec<SpreadPreference>,
    /// How many of its siblings one node may run; `None`: without bound.
    #[serde(default)]
    pub max_per_node: Option<NonZeroU32>,
    /// What its node must have free of things that are only counted, by name.
    #[serde(default)]
    pub reserved_generic: Generic,
    /// Ports that its own node answers for it. No two tasks of a node have the same one.
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
    /// What says whether it is healthy; `None`: that it runs.
    #[serde(default)]
    pub health: Option<HealthCheck>,
    /// Secrets and configs that it finds as files; no two at one path, and none below another.
    #[serde(default)]
    pub files: Vec<FileRef>,
    /// The labels of its service that placeholders of its environment, host name and files ask for.
    #[serde(default)]
    pub template_labels: Labels,
    /// The networks it attaches to.
    pub networks: Vec<NetworkRef>,
    /// The signal that asks it to end, by name (`SIGTERM`).
    pub stop_signal: String,
    /// How long it has to end before it is killed.
    pub stop_grace: Duration,
    /// Changed to roll tasks over without another change.
    pub force_update: u64,
}
