//! One run of one replica of a service.

use crate::id::NetworkId;
use crate::id::NodeId;
use crate::id::ServiceId;
use crate::id::TaskId;
use crate::name::Name;
use crate::object::Meta;
use crate::shared::Shared;
use crate::spec::TaskSpec;
use crate::task_state::DesiredState;
use crate::task_state::TaskState;
use crate::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// One run of one replica of a service. A restart is a new task in the same slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Kept by the store.
    pub meta: Meta,
    /// Which task.
    pub id: TaskId,
    /// Of which service.
    pub service: ServiceId,
    /// The service's name, so that a task can be named after its service is gone.
    pub service_name: Name,
    /// Which replica, from 1; of a global service, its node's number.
    pub slot: u32,
    /// Of a job: which run it belongs to.
    #[serde(default)]
    pub iteration: u64,
    /// Where it runs; `None` until the scheduler decided. Tasks of global services are made with
    /// it, and the scheduler decides whether they fit.
    pub node: Option<NodeId>,
    /// What it runs: the service's task spec as it was when the task was made.
    pub spec: Shared<TaskSpec>,
    /// How far it is.
    pub status: TaskStatus,
    /// How far it should be.
    pub desired: DesiredState,
    /// Its address on each of its networks; empty until the allocator decided.
    pub addresses: BTreeMap<NetworkId, IpAddr>,
    /// Its address in its node's slice of the ingress pool; given with the node.
    pub ingress_addr: Option<Ipv4Addr>,
}

impl Task {
    /// What people call it: `web.1`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.service_name, self.slot)
    }

    /// Counts as one of the service's replicas: wanted, and not ended.
    pub fn is_wanted(&self) -> bool {
        self.desired == DesiredState::Running && !self.status.state.is_terminal()
    }
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The state itself.
    pub state: TaskState,
    /// Since when.
    pub at: Timestamp,
    /// What it does, or why it waits.
    pub message: String,
    /// What went wrong; empty when nothing did.
    pub error: String,
    /// With what it ended.
    pub exit_code: Option<i32>,
}
