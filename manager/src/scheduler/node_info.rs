//! What a node has, has given away, and runs: the scheduler's own picture, kept up while it plans.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use weft_proto::ServiceId;
use weft_proto::Shared;
use weft_proto::TaskId;
use weft_proto::addr::IngressSlice;
use weft_proto::object::Node;
use weft_proto::object::Task;
use weft_proto::spec::Generic;
use weft_proto::spec::Protocol;
use weft_proto::spec::Resources;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// How long a failed task speaks against its node. As in swarmkit.
const FAILURE_WINDOW: Duration = Duration::from_secs(5 * 60);
/// How many failed tasks of one service and spec put a node behind the others. Fewer than the
/// records that are kept of one slot, so that a single replica can reach it.
const FAILURES: usize = 3;

/// A task that failed on the node.
#[derive(Clone, Debug)]
struct Failure {
    task: TaskId,
    spec: Shared<TaskSpec>,
    at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct NodeInfo {
    pub(super) node: Arc<Node>,
    reserved: Resources,
    reserved_generic: Generic,
    /// Tasks that count, by service.
    services: BTreeMap<ServiceId, usize>,
    total: usize,
    failures: BTreeMap<ServiceId, Vec<Failure>>,
    slice: Option<IngressSlice>,
    taken: BTreeSet<Ipv4Addr>,
    /// Ports of the node that its tasks have, and how many do: one, but for what an older manager
    /// decided.
    ports: BTreeMap<(Protocol, u16), usize>,
}

impl NodeInfo {
    /// A node that runs nothing.
    pub(super) fn new(node: Arc<Node>, slice: Option<IngressSlice>) -> NodeInfo {
        NodeInfo {
            node,
            reserved: Resources::default(),
            reserved_generic: Generic::new(),
            services: BTreeMap::new(),
            total: 0,
            failures: BTreeMap::new(),
            slice,
            taken: BTreeSet::new(),
            ports: BTreeMap::new(),
        }
    }

    /// The node as it says it is now; what it runs stays.
    pub(super) fn describe(&mut self, node: Arc<Node>) {
        self.node = node;
    }

    /// Counts a task of this node.
    pub(super) fn add(&mut self, task: &Task) {
        if has_failed(task) {
            self.failures
                .entry(task.service)
                .or_default()
                .push(Failure {
                    task: task.id,
                    spec: task.spec.clone(),
                    at: task.status.at,
                });
        }
        if !NodeInfo::holds(task) {
            return;
        }
        let wanted = task.spec.reservations;
        self.reserved.nano_cpus = self.reserved.nano_cpus.saturating_add(wanted.nano_cpus);
        self.reserved.memory_bytes = self
            .reserved
            .memory_bytes
            .saturating_add(wanted.memory_bytes);
        for (name, wanted) in &task.spec.reserved_generic {
            let reserved = self.reserved_generic.entry(name.clone()).or_default();
            *reserved = reserved.saturating_add(*wanted);
        }
        self.taken.extend(task.ingress_addr);
        for port in &task.spec.host_ports {
            *self
                .ports
                .entry((port.protocol, port.published))
                .or_default() += 1;
        }
        // A task on its way out still holds what it reserved, but does not count for the spread.
        if task.is_wanted() {
            *self.services.entry(task.service).or_default() += 1;
            self.total += 1;
        }
    }

    /// Forgets a task that was counted like this.
    pub(super) fn remove(&mut self, task: &Task) {
        if has_failed(task) {
            self.forget_failure(task.service, task.id);
        }
        if !NodeInfo::holds(task) {
            return;
        }
        let wanted = task.spec.reservations;
        self.reserved.nano_cpus = self.reserved.nano_cpus.saturating_sub(wanted.nano_cpus);
        self.reserved.memory_bytes = self
            .reserved
            .memory_bytes
            .saturating_sub(wanted.memory_bytes);
        for (name, wanted) in &task.spec.reserved_generic {
            if let Some(reserved) = self.reserved_generic.get_mut(name) {
                *reserved = reserved.saturating_sub(*wanted);
            }
        }
        if let Some(addr) = task.ingress_addr {
            self.taken.remove(&addr);
        }
        for port in &task.spec.host_ports {
            let key = (port.protocol, port.published);
            match self.ports.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) | None => _ = self.ports.remove(&key),
            }
        }
        if task.is_wanted() {
            self.total = self.total.saturating_sub(1);
            if let Some(count) = self.services.get_mut(&task.service) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.services.remove(&task.service);
                }
            }
        }
    }

    /// It was given to its node and has not ended. One that only belongs there has nothing yet.
    pub(super) fn holds(task: &Task) -> bool {
        task.status.state >= TaskState::Assigned && !task.status.state.is_terminal()
    }

    fn forget_failure(&mut self, service: ServiceId, task: TaskId) {
        if let Some(failures) = self.failures.get_mut(&service) {
            failures.retain(|failure| failure.task != task);
            if failures.is_empty() {
                self.failures.remove(&service);
            }
        }
    }

    /// What is not reserved by tasks.
    pub(super) fn free(&self) -> Resources {
        let all = self.node.description.resources;
        Resources {
            nano_cpus: all.nano_cpus.saturating_sub(self.reserved.nano_cpus),
            memory_bytes: all.memory_bytes.saturating_sub(self.reserved.memory_bytes),
        }
    }

    /// What is not reserved of something that is only counted.
    pub(super) fn free_generic(&self, name: &str) -> u64 {
        let of = |amounts: &Generic| amounts.get(name).copied().unwrap_or_default();
        of(&self.node.description.generic).saturating_sub(of(&self.reserved_generic))
    }

    /// Whether a task has this port of the node.
    pub(super) fn has_port(&self, port: (Protocol, u16)) -> bool {
        self.ports.contains_key(&port)
    }

    /// How much of what it has is reserved, in thousandths of the scarcer one of CPU and memory.
    pub(super) fn load(&self) -> u64 {
        let all = self.node.description.resources;
        let share = |reserved: u64, all: u64| {
            let share = u128::from(reserved) * 1000 / u128::from(all.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let cpu = share(self.reserved.nano_cpus, all.nano_cpus);
        cpu.max(share(self.reserved.memory_bytes, all.memory_bytes))
    }

    /// Tasks of this service and spec fail here lately: better elsewhere.
    pub(super) fn is_backed_off(
        &self,
        service: ServiceId,
        spec: &Shared<TaskSpec>,
        now: Timestamp,
    ) -> bool {
        let Some(failures) = self.failures.get(&service) else {
            return false;
        };
        let speaks =
            |failure: &&Failure| now.since(failure.at) < FAILURE_WINDOW && failure.spec == *spec;
        failures.iter().filter(speaks).count() >= FAILURES
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

    /// Tasks that count.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Tasks of a service that count.
    pub(super) fn of_service(&self, service: ServiceId) -> usize {
        self.services.get(&service).copied().unwrap_or_default()
    }
}

fn has_failed(task: &Task) -> bool {
    matches!(task.status.state, TaskState::Failed | TaskState::Rejected)
}
