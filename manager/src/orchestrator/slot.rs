//! The tasks of one slot of a service, old and new.

use crate::store::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_proto::TaskId;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::Availability;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// The tasks of one slot, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) tasks: Vec<Arc<Task>>,
}

impl Slot {
    /// The tasks that count as replicas. More than one only while an update starts first.
    pub(super) fn wanted(&self) -> impl DoubleEndedIterator<Item = &Arc<Task>> {
        self.tasks.iter().filter(|task| task.is_wanted())
    }

    /// The last task that ended by itself and that nobody has dealt with.
    pub(super) fn ended(&self) -> Option<&Arc<Task>> {
        self.tasks
            .iter()
            .rev()
            .find(|task| task.desired == DesiredState::Running && task.status.state.is_terminal())
    }

    /// Some task of the slot is to end and has not, on a node that can tell.
    pub(super) fn is_stopping(&self, state: &State) -> bool {
        self.tasks.iter().any(|task| {
            task.desired > DesiredState::Running
                && !task.status.state.is_terminal()
                && task
                    .node
                    .and_then(|id| state.node(id))
                    .is_some_and(|node| is_up(node))
        })
    }

    /// A task of the wanted spec runs.
    pub(super) fn runs(&self, service: &Service) -> Option<&Arc<Task>> {
        self.wanted()
            .find(|task| task.status.state == TaskState::Running && is_current(task, service))
    }
}

/// The service's tasks by slot, without those to be forgotten.
pub(super) fn slots(state: &State, service: &Service) -> BTreeMap<u32, Slot> {
    let mut slots: BTreeMap<u32, Slot> = BTreeMap::new();
    for task in state
        .tasks_of_service(service.id)
        .filter(|t| t.desired < DesiredState::Remove)
    {
        slots.entry(task.slot).or_default().tasks.push(task.clone());
    }
    for slot in slots.values_mut() {
        slot.tasks
            .sort_by_key(|task| (task.meta.created_at, task.meta.version, task.id));
    }
    slots
}

/// Made from the service's present spec.
pub(super) fn is_current(task: &Task, service: &Service) -> bool {
    task.spec == service.spec.task
}

fn is_up(node: &Node) -> bool {
    node.status.state != NodeState::Down
}

/// Why a task cannot stay where it is; `None`: it can.
pub(super) fn must_leave(state: &State, task: &Task) -> Option<&'static str> {
    let node = task.node?;
    match state.node(node) {
        None => Some("its node was removed"),
        Some(node) if !is_up(node) => Some("its node is down"),
        Some(node) if node.spec.availability == Availability::Drain => Some("its node is drained"),
        Some(_) => None,
    }
}

/// A new task for a slot.
pub(super) fn new_task(id: TaskId, service: &Service, slot: u32, now: Timestamp) -> Task {
    Task {
        meta: weft_proto::object::Meta::default(),
        id,
        service: service.id,
        service_name: service.spec.name.clone(),
        slot,
        iteration: 0,
        node: None,
        spec: service.spec.task.clone(),
        status: TaskStatus {
            state: TaskState::New,
            at: now,
            message: "waits for its addresses".to_owned(),
            error: String::new(),
            exit_code: None,
        },
        desired: DesiredState::Running,
        addresses: BTreeMap::new(),
        ingress_addr: None,
    }
}
