//! A service.

use crate::id::NetworkId;
use crate::id::ServiceId;
use crate::object::Meta;
use crate::spec::Port;
use crate::spec::ServiceSpec;
use crate::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Kept by the store.
    pub meta: Meta,
    /// Which service.
    pub id: ServiceId,
    /// What was asked for.
    pub spec: ServiceSpec,
    /// Its virtual address on each of its networks; none with DNS round robin.
    pub vips: BTreeMap<NetworkId, IpAddr>,
    /// Its ports, each with a published one.
    pub ports: Vec<Port>,
    /// What a rollback returns to.
    pub previous: Option<Box<ServiceSpec>>,
    /// How the last change of the spec rolls over; `None` before the first.
    pub update: Option<UpdateStatus>,
    /// The present run; jobs only.
    pub run: Option<JobRun>,
}

/// How a change of a service's spec rolls over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// How far it is.
    pub state: UpdateState,
    /// When the spec was changed. Zero until a leader has seen it.
    pub started: Timestamp,
    /// When it was complete or stopped.
    pub ended: Option<Timestamp>,
    /// What it waits for, or why it stopped.
    pub message: String,
}

/// How far a rollover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateState {
    /// Tasks are being replaced.
    Updating,
    /// Too many new tasks failed: no more are replaced.
    Paused,
    /// All tasks are of the new spec.
    Completed,
    /// Tasks are being replaced by ones of the previous spec.
    RollingBack,
    /// Too many tasks of the previous spec failed too.
    RollbackPaused,
    /// All tasks are of the previous spec.
    RollbackCompleted,
}

impl UpdateState {
    /// Nothing is being replaced any more.
    pub fn has_ended(self) -> bool {
        match self {
            UpdateState::Updating | UpdateState::RollingBack => false,
            UpdateState::Paused
            | UpdateState::Completed
            | UpdateState::RollbackPaused
            | UpdateState::RollbackCompleted => true,
        }
    }

    /// It returns, or returned, to the previous spec.
    pub fn is_rollback(self) -> bool {
        match self {
            UpdateState::RollingBack
            | UpdateState::RollbackPaused
            | UpdateState::RollbackCompleted => true,
            UpdateState::Updating | UpdateState::Paused | UpdateState::Completed => false,
        }
    }
}

impl fmt::Display for UpdateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            UpdateState::Updating => "updating",
            UpdateState::Paused => "paused",
            UpdateState::Completed => "completed",
            UpdateState::RollingBack => "rolling back",
            UpdateState::RollbackPaused => "rollback paused",
            UpdateState::RollbackCompleted => "rollback completed",
        })
    }
}

/// The present run of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRun {
    /// Counted from 1; each change of the spec and each time of its schedule begins the next.
    pub iteration: u64,
    /// When it began: a node that joined later takes no part in it. Zero until a leader has seen it.
    pub started: Timestamp,
    /// When a time of its schedule was last passed over, because this run had not ended.
    #[serde(default)]
    pub skipped: Option<Timestamp>,
}
