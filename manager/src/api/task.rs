//! Tasks.

use crate::store::State;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::object::Node;
use weft_proto::object::Task;

/// The tasks of a service, of a node, of a service on a node, or all; by service and slot, in a
/// slot the newest first. Tasks of services that are gone are shown only where a node's tasks are
/// asked for: there they still take room until they have ended.
pub(super) fn list(
    state: &State,
    service: Option<ServiceId>,
    node: Option<NodeId>,
) -> Vec<Arc<Task>> {
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
    tasks
}

fn order(task: &Task) -> impl Ord + '_ {
    let newest = Reverse((task.meta.created_at, task.meta.version));
    (&task.service_name, task.slot, newest, task.id)
}

/// The nodes that these tasks were given to, as far as they are still there.
pub(super) fn nodes_of(state: &State, tasks: &[Arc<Task>]) -> Vec<Arc<Node>> {
    let ids: BTreeSet<NodeId> = tasks.iter().filter_map(|task| task.node).collect();
    ids.into_iter()
        .filter_map(|id| state.node(id).cloned())
        .collect()
}
