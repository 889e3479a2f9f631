//! Whether and when a task that ended by itself gets a successor. The attempts are the records of the
//! slot, so a new leader counts on where the last one stopped.

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
    if !wanted(ended) || attempts_used_up(slot, ended, policy) {
        return Restart::Never;
    }
    let due = ended.status.at.after(policy.delay);
    if due <= now {
        Restart::Now
    } else {
        Restart::At(due)
    }
}

fn wanted(ended: &Task) -> bool {
    match ended.spec.restart.condition {
        RestartCondition::None => false,
        RestartCondition::OnFailure => ended.status.state != TaskState::Complete,
        RestartCondition::Any => true,
    }
}

fn attempts_used_up(slot: &Slot, ended: &Task, policy: &RestartPolicy) -> bool {
    policy.max_attempts > 0 && attempts(slot, ended, policy) >= policy.max_attempts
}

/// Every earlier task of the slot with the same spec that ended by itself was an attempt. The window
/// ends with `ended`, not now: what was decided stays decided.
fn attempts(slot: &Slot, ended: &Task, policy: &RestartPolicy) -> u32 {
    let failed = slot.tasks.iter().filter(|task| {
        task.id != ended.id
            && task.spec == ended.spec
            && task.iteration == ended.iteration
            && matches!(
                task.status.state,
                TaskState::Complete | TaskState::Failed | TaskState::Rejected
            )
            && (policy.window == Duration::ZERO
                || ended.status.at.since(task.status.at) <= policy.window)
    });
    u32::try_from(failed.count()).unwrap_or(u32::MAX)
}

/// When the slot of `ended` gets a successor by its policy; `None`: never.
pub(super) fn due(slot: &Slot, ended: &Task) -> Option<Timestamp> {
    let policy = &ended.spec.restart;
    let again = wanted(ended) && !attempts_used_up(slot, ended, policy);
    again.then(|| ended.status.at.after(policy.delay))
}

/// What becomes of the slot of `ended`, in words for `service ps`.
pub(super) fn words(slot: &Slot, ended: &Task) -> String {
    let policy = &ended.spec.restart;
    if !wanted(ended) {
        return match policy.condition {
            RestartCondition::None => "not started again: its restart condition is none",
            RestartCondition::OnFailure | RestartCondition::Any => "done",
        }
        .to_owned();
    }
    let most = policy.max_attempts;
    let used = attempts(slot, ended, policy);
    match (most, used >= most) {
        (0, _) => format!("starts again {} after its end", seconds(policy.delay)),
        (_, true) => format!("not started again: {used} of {most} attempts used"),
        (_, false) => format!(
            "starts again {} after its end, attempt {} of {most}",
            seconds(policy.delay),
            used.saturating_add(1)
        ),
    }
}

/// `5 s`, `0.5 s`.
pub(super) fn seconds(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (whole, 0) => format!("{whole} s"),
        (whole, millis) => format!("{whole}.{millis:03} s"),
    }
}
