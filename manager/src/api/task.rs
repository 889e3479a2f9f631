//! Tasks.

use crate::acting::Scope;
use crate::orchestrator;
use crate::store::State;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::object::Node;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::time::Timestamp;

/// The tasks of a service, of a node, of a service on a node, or all; by service and slot, in a
/// slot the newest first. Tasks of services that are gone are shown only where a node's tasks are
/// asked for: there they still take room until they have ended.
pub(super) fn list(
    state: &State,
    service: Option<ServiceId>,
    node: Option<NodeId>,
) -> Vec<Arc<Task>> {
    listed(state, service, node).0
}

/// The same, and until when tasks wait that wait for something.
pub(super) fn listed(
    state: &State,
    service: Option<ServiceId>,
    node: Option<NodeId>,
) -> (Vec<Arc<Task>>, Waits) {
    let mut tasks: Vec<Arc<Task>> = match (service, node) {
        (Some(service), None) => state.tasks_of_service(service).cloned().collect(),
        (Some(service), Some(node)) => state
            .tasks_of_node(node)
            .filter(|task| task.service == service)
            .cloned()
            .collect(),
        (None, Some(node)) => state.tasks_of_node(node).cloned().collect(),
        (None, None) => state
            .tasks()
            .filter(|task| state.service(task.service).is_some())
            .cloned()
            .collect(),
    };
    tasks.sort_by(|a, b| order(a).cmp(&order(b)));
    let waits = explain(state, &mut tasks);
    (tasks, waits)
}

/// Until when tasks wait, as far as that is known.
pub(super) type Waits = BTreeMap<TaskId, Option<Timestamp>>;

/// Tasks that ended by themselves say what becomes of their slot, and those that are to be replaced
/// what they wait for.
fn explain(state: &State, tasks: &mut [Arc<Task>]) -> Waits {
    let wanted = tasks
        .iter()
        .filter(|task| task.desired == DesiredState::Running);
    let services: BTreeSet<ServiceId> = wanted.map(|task| task.service).collect();
    let mut notes = BTreeMap::new();
    for service in services {
        notes.extend(orchestrator::notes(state, service));
    }
    let mut waits = Waits::new();
    for task in tasks.iter_mut() {
        if let Some(note) = notes.remove(&task.id) {
            waits.insert(task.id, note.until);
            Arc::make_mut(task).status.message = note.why;
        }
    }
    waits
}

fn order(task: &Task) -> impl Ord + '_ {
    let newest = Reverse((task.meta.created_at, task.meta.version));
    (&task.service_name, task.slot, newest, task.id)
}

/// Whether a task is one of the scope: its service is. Of one whose service is gone only the whole
/// cluster knows.
pub(super) fn is_in(state: &State, scope: &Scope, task: &Task) -> bool {
    match state.service(task.service) {
        Some(service) => scope.has(&service.spec.labels),
        None => scope.only().is_none(),
    }
}

/// The nodes that these tasks were given to, as far as they are still there.
pub(super) fn nodes_of(state: &State, tasks: &[Arc<Task>]) -> Vec<Arc<Node>> {
    let ids: BTreeSet<NodeId> = tasks.iter().filter_map(|task| task.node).collect();
    ids.into_iter()
        .filter_map(|id| state.node(id).cloned())
        .collect()
}
