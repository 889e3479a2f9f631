//! How many tasks a service has, and whether they run for ever.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// How many tasks a service has, and whether they run for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// This many tasks, in slots.
    Replicated {
        /// The number of slots.
        replicas: u32,
    },
    /// One task on every node that may run it.
    Global,
    /// Tasks that end: each slot is done once a task of it ended with exit code 0.
    ReplicatedJob {
        /// The number of slots.
        completions: u32,
        /// How many tasks may run at the same time; 0: all.
        max_concurrent: u32,
    },
    /// One task that ends on every node that may run it and was there when the run began.
    GlobalJob,
}

impl Mode {
    /// The number of slots; `None` where the nodes decide.
    pub fn slots(self) -> Option<u32> {
        match self {
            Mode::Replicated { replicas } => Some(replicas),
            Mode::ReplicatedJob { completions, .. } => Some(completions),
            Mode::Global | Mode::GlobalJob => None,
        }
    }

    /// Its tasks are meant to end.
    pub fn is_job(self) -> bool {
        match self {
            Mode::ReplicatedJob { .. } | Mode::GlobalJob => true,
            Mode::Replicated { .. } | Mode::Global => false,
        }
    }

    /// Its tasks are bound to nodes: a task's slot is its node's number.
    pub fn is_global(self) -> bool {
        self.slots().is_none()
    }
}

/// As `--mode` names it.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Replicated { .. } => "replicated",
            Mode::Global => "global",
            Mode::ReplicatedJob { .. } => "replicated-job",
            Mode::GlobalJob => "global-job",
        })
    }
}
