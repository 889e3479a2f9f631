//! Tasks that nobody will ever report about: their node is gone, or they never had one.

use crate::orchestrator::Plan;
use crate::store::State;
use std::time::Duration;
use weft_proto::command::Change;
use weft_proto::object::NodeState;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// How long a node may be down before its tasks are given up and their addresses are free again.
/// A day, as in swarmkit: until then the node may come back and stop them itself.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// Adds the steps for tasks that are to end and have nobody who ends them.
pub(super) fn plan(state: &State, now: Timestamp, plan: &mut Plan) {
    for task in state
        .tasks()
        .filter(|task| !task.status.state.is_terminal())
    {
        let Some(node) = task.node else {
            // Never left the managers, so nothing of it exists anywhere.
            if task.desired > DesiredState::Running && !is_planned(plan, task) {
                plan.changes.push(Change::remove(Task::clone(task)));
            }
            continue;
        };
        let why = match state.node(node) {
            None => "its node was removed",
            Some(node) if node.status.state == NodeState::Down => {
                let due = node.status.since.after(GIVE_UP);
                if due > now {
                    plan.wake(due);
                    continue;
                }
                "its node was down for a day"
            }
            Some(_) => continue,
        };
        if !is_planned(plan, task) {
            let mut task = Task::clone(task);
            task.status.state = TaskState::Orphaned;
            task.status.at = now;
            task.status.message = why.to_owned();
            plan.changes.push(Change::update(task));
        }
    }
}

/// The plan changes this task already; the next round goes on from there.
pub(super) fn is_planned(plan: &Plan, task: &Task) -> bool {
    plan.changes.iter().any(|change| match change {
        Change::Put {
            object: Object::Task(planned),
            ..
        } => planned.id == task.id,
        Change::Delete {
            key: ObjectKey::Task(id),
            ..
        } => *id == task.id,
        Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => false,
    })
}
