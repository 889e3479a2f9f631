//! Tasks that are forgotten: those of services that are gone, and those behind the history's end.

use crate::orchestrator::Plan;
use crate::orchestrator::orphan::is_planned;
use crate::store::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_proto::ServiceId;
use weft_proto::command::Change;
use weft_proto::defaults::TASK_HISTORY;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;

/// Adds the steps that forget tasks.
pub(super) fn plan(state: &State, plan: &mut Plan) {
    let mut history: BTreeMap<(ServiceId, u32), Vec<&Arc<Task>>> = BTreeMap::new();
    for task in state.tasks() {
        let ended = task.status.state.is_terminal();
        let forgotten = task.desired == DesiredState::Remove;
        if is_planned(plan, task) {
            continue;
        }
        if ended && forgotten {
            plan.changes.push(Change::remove(Task::clone(task)));
        } else if state.service(task.service).is_none() && !forgotten {
            let mut task = Task::clone(task);
            task.desired = DesiredState::Remove;
            plan.changes.push(Change::update(task));
        } else if ended && task.desired == DesiredState::Shutdown {
            history
                .entry((task.service, task.slot))
                .or_default()
                .push(task);
        }
    }
    for mut tasks in history.into_values() {
        tasks.sort_by_key(|task| (task.status.at, task.id));
        let surplus = tasks.len().saturating_sub(TASK_HISTORY);
        for task in tasks.into_iter().take(surplus) {
            plan.changes.push(Change::remove(Task::clone(task)));
        }
    }
}
