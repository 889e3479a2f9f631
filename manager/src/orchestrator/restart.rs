//! Whether and when a task that ended by itself gets a successor.

use crate::orchestrator::slot::Slot;
use std::time::Duration;
use weft_proto::object::Task;
use weft_proto::spec::RestartCondition;
use weft_proto::spec::RestartPolicy;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// Now.
    Now,
    /// Not before this moment.
    At(Timestamp),
    /// Its policy says no.
    Never,
}

/// What the policy says about the successor of `ended`, the last task of `slot`.
pub(super) fn decide(slot: &Slot, ended: &Task, now: Timestamp) -> Restart {
    let policy = &ended.spec.restart;
    let wanted = match policy.condition {
        RestartCondition::None => false,
        RestartCondition::OnFailure => ended.status.state != TaskState::Complete,
        RestartCondition::Any => true,
    };
    if !wanted || attempts_used_up(slot, ended, policy, now) {
        return Restart::Never;
    }
    let due = ended.status.at.after(policy.delay);
    if due <= now {
        Restart::Now
    } else {
        Restart::At(due)
    }
}

/// Every earlier task of the slot with the same spec that ended by itself was an attempt.
fn attempts_used_up(slot: &Slot, ended: &Task, policy: &RestartPolicy, now: Timestamp) -> bool {
    if policy.max_attempts == 0 {
        return false;
    }
    let failed = slot.tasks.iter().filter(|task| {
        task.id != ended.id
            && task.spec == ended.spec
            && matches!(
                task.status.state,
                TaskState::Complete | TaskState::Failed | TaskState::Rejected
            )
            && (policy.window == Duration::ZERO || now.since(task.status.at) <= policy.window)
    });
    u32::try_from(failed.count()).unwrap_or(u32::MAX) >= policy.max_attempts
}
