//! The tasks of one slot of a service, old and new.

use crate::orchestrator::draft::Draft;
use crate::orchestrator::eligible::is_up;
use crate::store::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weft_proto::ServiceId;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

/// How long after its grace a task that was told to stop may say nothing, before its slot goes on
/// without it. Its node answers, so this is a process that cannot be killed or an agent that is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// The tasks of one slot, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) tasks: Vec<Arc<Task>>,
}

impl Slot {
    /// The tasks that count as replicas. More than one only while one takes the place of another.
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

    /// Some task of the slot was told to end and has not, on a node that can tell. Not for ever.
    pub(super) fn is_stopping(&self, draft: &mut Draft<'_>) -> bool {
        let state = draft.state;
        self.tasks.iter().any(|task| {
            let node = task.node.and_then(|id| state.node(id));
            // Never left the managers: it is forgotten in this very round.
            let exists = task.status.state >= TaskState::Assigned;
            let stopping = exists
                && task.desired > DesiredState::Running
                && !task.status.state.is_terminal()
                && node.is_some_and(|node| is_up(node));
            let patience = task.spec.stop_grace.saturating_add(STUCK);
            stopping && !draft.is_due(task.meta.updated_at.after(patience))
        })
    }

    /// A task of it was stopped by the cluster, not by itself: what runs now took its place.
    pub(super) fn was_replaced(&self) -> bool {
        self.tasks.iter().any(|task| {
            task.desired > DesiredState::Running
                && !matches!(
                    task.status.state,
                    TaskState::Complete | TaskState::Failed | TaskState::Rejected
                )
        })
    }
}

/// The service's tasks by slot.
pub(super) fn slots(state: &State, service: ServiceId) -> BTreeMap<u32, Slot> {
    let mut slots: BTreeMap<u32, Slot> = BTreeMap::new();
    for task in state.tasks_of_service(service) {
        slots.entry(task.slot).or_default().tasks.push(task.clone());
    }
    for slot in slots.values_mut() {
        slot.sort();
    }
    slots
}

impl Slot {
    /// Oldest first.
    pub(super) fn sort(&mut self) {
        self.tasks
            .sort_by_key(|task| (task.meta.created_at, task.meta.version, task.id));
    }
}

/// Made from the service's present spec.
pub(super) fn is_current(task: &Task, service: &Service) -> bool {
    task.spec == service.spec.task
}
