//! What was told of the active tasks, kept for as long as they are active: a task that is still
//! stopping needs its network, even when the cluster has already forgotten it.

use crate::desired::Desired;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::NetworkId;
use weft_proto::TaskId;
use weft_proto::assignment::NetworkRecord;
use weft_proto::object::Task;

/// The active tasks and their networks, as last told.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) tasks: BTreeMap<TaskId, Task>,
    pub(super) networks: BTreeMap<NetworkId, NetworkRecord>,
}

impl Memory {
    /// Takes over what is told now, and forgets what no active task needs.
    pub(super) fn update(&mut self, desired: &Desired, active: &BTreeSet<TaskId>) {
        self.tasks.retain(|id, _| active.contains(id));
        let told = desired.tasks.iter().filter(|(id, _)| active.contains(id));
        self.tasks
            .extend(told.map(|(id, task)| (*id, task.clone())));
        let attached = self.tasks.values().flat_map(|task| &task.spec.networks);
        let needed: BTreeSet<_> = attached.map(|network| network.id).collect();
        self.networks.retain(|id, _| needed.contains(id));
        let told = desired
            .networks
            .iter()
            .filter(|(id, _)| needed.contains(id));
        self.networks
            .extend(told.map(|(id, network)| (*id, network.clone())));
    }
}
