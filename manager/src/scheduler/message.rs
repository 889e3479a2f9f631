//! When a task's reason to wait is written. Every writing is a change that all managers replicate,
//! so a reason that flickers must not fill the log.

use crate::scheduler::explain;
use std::time::Duration;
use weft_proto::object::Task;
use weft_proto::time::Timestamp;

/// Another reason is written at the earliest this long after the last writing, and later when many
/// tasks wait: `EACH` for each of them, so that all together cause a thousand writings a second.
const ANOTHER: Duration = Duration::from_secs(1);
const EACH: Duration = Duration::from_millis(1);
/// The same reason with other numbers.
const NUMBERS: Duration = Duration::from_secs(60);

/// When to write a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is there.
    Never,
    Now,
    At(Timestamp),
}

/// When `reason` becomes the message of a task, of which `waiting` wait.
pub(super) fn due(task: &Task, reason: &str, waiting: usize) -> Due {
    let present = task.status.message.as_str();
    if present == reason {
        return Due::Never;
    }
    if !is_reason(present) {
        return Due::Now;
    }
    let crowd = EACH.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX));
    let pause = if explain::shape(present) == explain::shape(reason) {
        NUMBERS
    } else {
        ANOTHER
    };
    Due::At(task.meta.updated_at.after(pause.max(crowd)))
}

/// Written by the scheduler, not by whoever had the task before.
fn is_reason(message: &str) -> bool {
    message.starts_with("no suitable node: ") || message.starts_with("its node ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::service;
    use crate::fixture::task;

    #[test]
    fn a_new_reason_is_written_soon_and_new_numbers_late() {
        let mut waits = task(1, &service(1, 1));
        waits.meta.updated_at = Timestamp::from_millis(5_000);
        waits.status.message = "waits for a node".to_owned();
        let one = "no suitable node: 1 drained";
        assert_eq!(due(&waits, one, 1), Due::Now);
        waits.status.message = one.to_owned();
        assert_eq!(due(&waits, one, 1), Due::Never);
        let at = |millis| Due::At(Timestamp::from_millis(millis));
        assert_eq!(due(&waits, "no suitable node: 2 drained", 1), at(65_000));
        assert_eq!(due(&waits, "no suitable node: 1 paused", 1), at(6_000));
        assert_eq!(
            due(&waits, "no suitable node: 1 paused", 10_000),
            at(15_000)
        );
    }
}
