//! Tasks that are forgotten: those of services that are gone, and those behind the history's end.

use crate::orchestrator::draft::Draft;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_proto::ServiceId;
use weft_proto::defaults::TASK_HISTORY;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;

/// Adds the steps that forget tasks of a service.
pub(super) fn plan(draft: &mut Draft<'_>, id: ServiceId) {
    let state = draft.state;
    let service = state.service(id);
    let mut history: BTreeMap<u32, Vec<&Arc<Task>>> = BTreeMap::new();
    for task in state.tasks_of_service(id) {
        let ended = task.status.state.is_terminal();
        let forgotten = task.desired == DesiredState::Remove;
        if draft.is_planned(task) {
            continue;
        }
        if ended && forgotten {
            draft.remove(task);
        } else if service.is_none() && !forgotten {
            draft.end(task, DesiredState::Remove, "its service was removed");
        } else if ended && task.desired == DesiredState::Shutdown {
            history.entry(task.slot).or_default().push(task);
        }
    }
    // The attempts of a restart policy are counted in these records.
    let attempts = service.map_or(0, |service| service.spec.task.restart.max_attempts);
    let kept = TASK_HISTORY.max(usize::try_from(attempts).unwrap_or(usize::MAX));
    for mut tasks in history.into_values() {
        tasks.sort_by_key(|task| (task.status.at, task.id));
        let surplus = tasks.len().saturating_sub(kept);
        for task in tasks.into_iter().take(surplus) {
            draft.remove(task);
        }
    }
}
