//! What a node has, has given away, and runs: the scheduler's own picture, kept up while it plans.

use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use weft_proto::ServiceId;
use weft_proto::addr::IngressSlice;
use weft_proto::object::Node;
use weft_proto::object::Task;
use weft_proto::spec::Resources;

#[derive(Clone, Debug)]
pub(super) struct NodeInfo {
    pub(super) node: Arc<Node>,
    /// What is not reserved by tasks.
    pub(super) free: Resources,
    /// Tasks that count, by service.
    pub(super) tasks: BTreeMap<ServiceId, usize>,
    slice: Option<IngressSlice>,
    taken: BTreeSet<Ipv4Addr>,
}

impl NodeInfo {
    pub(super) fn of(state: &State, node: &Arc<Node>) -> NodeInfo {
        let pool = state.cluster().map(|cluster| cluster.settings.ingress_pool);
        let mut info = NodeInfo {
            node: node.clone(),
            free: node.description.resources,
            tasks: BTreeMap::new(),
            slice: pool.and_then(|pool| IngressSlice::of(pool, node.number)),
            taken: BTreeSet::new(),
        };
        for task in state
            .tasks_of_node(node.id)
            .filter(|task| !task.status.state.is_terminal())
        {
            info.add(task);
        }
        info
    }

    pub(super) fn add(&mut self, task: &Task) {
        let reserved = task.spec.reservations;
        self.free.nano_cpus = self.free.nano_cpus.saturating_sub(reserved.nano_cpus);
        self.free.memory_bytes = self.free.memory_bytes.saturating_sub(reserved.memory_bytes);
        self.taken.extend(task.ingress_addr);
        // A task on its way out still holds what it reserved, but does not count for the spread.
        if task.is_wanted() {
            *self.tasks.entry(task.service).or_default() += 1;
        }
    }

    /// A free outside address; like addresses of networks, a released one rests.
    pub(super) fn ingress_addr(&self) -> Option<Ipv4Addr> {
        let slice = self.slice?;
        let greatest = self.taken.last().copied();
        let all = || IngressSlice::TASK_OFFSETS.map(|offset| slice.at(offset));
        all()
            .filter(|addr| greatest.is_none_or(|greatest| *addr > greatest))
            .chain(all())
            .find(|addr| !self.taken.contains(addr))
    }

    pub(super) fn total(&self) -> usize {
        self.tasks.values().sum()
    }

    pub(super) fn of_service(&self, service: ServiceId) -> usize {
        self.tasks.get(&service).copied().unwrap_or_default()
    }
}
