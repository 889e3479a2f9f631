//! Which tasks need their networks. Pure.

use crate::desired::Desired;
use crate::runtime::TaskObservation;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::TaskId;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

/// The tasks that run, are about to, or are still ending. A network goes only when nothing talks
/// over it any more.
pub(super) fn tasks(
    desired: &Desired,
    seen: &BTreeMap<TaskId, TaskObservation>,
    reported: impl Fn(TaskId) -> Option<TaskState>,
    busy: &BTreeSet<TaskId>,
) -> BTreeSet<TaskId> {
    let ended = |task: &TaskId| seen.get(task).is_some_and(|seen| seen.exit().is_some());
    let wanted = desired.tasks.values().filter(|task| {
        task.desired == DesiredState::Running
            && !reported(task.id).is_some_and(TaskState::is_terminal)
    });
    let alive = seen.keys().copied();
    // What is just being removed is neither wanted nor seen any more: nothing talks for it.
    let known = |task: &TaskId| desired.tasks.contains_key(task) || seen.contains_key(task);
    let busy = busy.iter().copied().filter(known);
    wanted
        .map(|task| task.id)
        .chain(alive)
        .chain(busy)
        .filter(|task| !ended(task))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::desired;
    use crate::fixture::task;
    use crate::fixture::task_id;
    use crate::runtime::Exit;
    use crate::runtime::ExitReason;
    use std::time::UNIX_EPOCH;

    #[test]
    fn wanted_and_living_tasks_need_networks_and_ended_ones_do_not() {
        let mut unwanted = task(2);
        unwanted.desired = DesiredState::Shutdown;
        let mut failed = task(3);
        failed.status.state = TaskState::Failed;
        let desired = desired(1, [task(1), unwanted, failed, task(4)]);
        let exit = Exit {
            reason: ExitReason::Code(0),
            oom_killed: false,
            at: UNIX_EPOCH,
        };
        let seen = BTreeMap::from([
            (task_id(2), TaskObservation::Starting),
            (task_id(4), TaskObservation::Exited(exit)),
            (task_id(9), TaskObservation::Prepared),
        ]);
        let reported = |id| desired.tasks.get(&id).map(|task| task.status.state);
        let active = tasks(&desired, &seen, reported, &BTreeSet::new());
        assert_eq!(active, [1, 2, 9].map(task_id).into());
    }

    #[test]
    fn a_task_that_is_just_being_removed_needs_no_network() {
        let busy = BTreeSet::from([task_id(1), task_id(2)]);
        let active = tasks(&desired(1, [task(1)]), &BTreeMap::new(), |_| None, &busy);
        assert_eq!(active, [1].map(task_id).into());
    }
}
