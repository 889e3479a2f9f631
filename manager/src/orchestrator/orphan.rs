//! Tasks that nobody will ever report about: their node is gone, or they never had one.

use crate::orchestrator::draft::Draft;
use std::time::Duration;
use weft_proto::ServiceId;
use weft_proto::object::NodeState;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

/// How long a node may be down before its tasks are given up and their addresses are free again.
/// A day, as in swarmkit: until then the node may come back and stop them itself.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// Adds the steps for tasks of a service that are to end and have nobody who ends them.
pub(super) fn plan(draft: &mut Draft<'_>, service: ServiceId) {
    let state = draft.state;
    for task in state
        .tasks_of_service(service)
        .filter(|task| !task.status.state.is_terminal())
    {
        if draft.is_planned(task) {
            continue;
        }
        if task.status.state < TaskState::Assigned && task.desired > DesiredState::Running {
            // Never left the managers, so nothing of it exists anywhere.
            draft.remove(task);
            continue;
        }
        let Some(node) = task.node else {
            continue;
        };
        let why = match state.node(node) {
            None => "its node was removed",
            Some(node) if node.status.state == NodeState::Down => {
                if !draft.is_due(node.status.since.after(GIVE_UP)) {
                    continue;
                }
                "its node was down for a day"
            }
            Some(_) => continue,
        };
        let mut task = Task::clone(task);
        task.status.state = TaskState::Orphaned;
        task.status.at = draft.now;
        task.status.message = why.to_owned();
        // Whatever ended it, its slot is free for another one.
        task.desired = task.desired.max(DesiredState::Shutdown);
        draft.put(task);
    }
}
