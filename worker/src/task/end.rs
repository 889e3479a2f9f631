//! How a task's end is told to people.

use crate::runtime::Exit;
use crate::runtime::ExitReason;
use crate::task::Failure;
use crate::task::View;
use nix::sys::signal::Signal;
use weft_proto::object::TaskStatus;
use weft_proto::spec::Resources;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// It ended by itself.
pub(super) fn ended(exit: &Exit, limits: &Resources) -> TaskStatus {
    if exit.is_success() {
        return TaskStatus {
            state: TaskState::Complete,
            at: exit.at.into(),
            message: "finished".to_owned(),
            error: String::new(),
            exit_code: Some(0),
        };
    }
    let error = if exit.oom_killed {
        out_of_memory(limits)
    } else {
        reason(&exit.reason)
    };
    TaskStatus {
        exit_code: exit.shell_code(),
        ..failed(error, exit.at.into())
    }
}

/// It was stopped because its health check failed; whatever code it ended with.
pub(super) fn unhealthy(why: &str, exit: &Exit) -> TaskStatus {
    failed(why.to_owned(), exit.at.into())
}

/// It was stopped because the cluster asked for it; whatever code it ended with is no failure.
pub(super) fn shut_down(exit: &Exit) -> TaskStatus {
    TaskStatus {
        state: TaskState::Shutdown,
        at: exit.at.into(),
        message: format!("stopped: {}", reason(&exit.reason)),
        error: String::new(),
        exit_code: exit.shell_code(),
    }
}

/// The cluster did not want it any more before anything of it ran.
pub(super) fn never_started(now: Timestamp) -> TaskStatus {
    TaskStatus {
        state: TaskState::Shutdown,
        at: now,
        message: "stopped before it was started".to_owned(),
        error: String::new(),
        exit_code: None,
    }
}

/// It ran once, and nothing of it is left.
pub(super) fn lost(now: Timestamp) -> TaskStatus {
    failed("lost in a reboot of its node".to_owned(), now)
}

/// Its network cannot be made.
pub(super) fn no_network(reason: &str, now: Timestamp) -> TaskStatus {
    failed(format!("network: {reason}"), now)
}

/// The runtime could not start it, or never can.
pub(super) fn not_startable(failure: &Failure, view: &View<'_>) -> TaskStatus {
    let mut status = failed(failure.error.clone(), view.now);
    // Only a task of which nothing began can be rejected: no edge leads there from Starting.
    if failure.permanent && view.reported <= TaskState::Preparing {
        status.state = TaskState::Rejected;
    }
    status
}

/// What it asks for can never be made. `reported`: how far it was said to be.
pub fn refused(error: String, reported: TaskState, now: Timestamp) -> TaskStatus {
    let mut status = failed(error, now);
    if reported <= TaskState::Preparing {
        status.state = TaskState::Rejected;
    }
    status
}

fn failed(error: String, at: Timestamp) -> TaskStatus {
    TaskStatus {
        state: TaskState::Failed,
        at,
        message: "failed".to_owned(),
        error,
        exit_code: None,
    }
}

fn reason(reason: &ExitReason) -> String {
    match reason {
        ExitReason::Code(code) => format!("exit code {code}"),
        ExitReason::Signal(number) => match Signal::try_from(*number) {
            Ok(signal) => format!("killed by {}", signal.as_str()),
            Err(_) => format!("killed by signal {number}"),
        },
        ExitReason::NotStarted(text) | ExitReason::Lost(text) => text.clone(),
    }
}

fn out_of_memory(limits: &Resources) -> String {
    if limits.memory_bytes == 0 {
        "out of memory: the node has none left".to_owned()
    } else {
        format!("out of memory: limit {}", size(limits.memory_bytes))
    }
}

/// In the largest binary unit that leaves no fraction, as people write limits.
fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units
        .into_iter()
        .find(|(_, shift)| bytes >> shift << shift == bytes && bytes > 0);
    match whole {
        Some((unit, shift)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn exit(reason: ExitReason, oom_killed: bool) -> Exit {
        Exit {
            reason,
            oom_killed,
            at: UNIX_EPOCH,
        }
    }

    fn limit(memory_bytes: u64) -> Resources {
        Resources {
            nano_cpus: 0,
            memory_bytes,
        }
    }

    #[test]
    fn an_end_says_why_in_words() {
        let cases = [
            (exit(ExitReason::Code(1), false), 0, "exit code 1", Some(1)),
            (
                exit(ExitReason::Signal(9), false),
                0,
                "killed by SIGKILL",
                Some(137),
            ),
            (
                exit(ExitReason::Signal(9), true),
                64 << 20,
                "out of memory: limit 64 MiB",
                Some(137),
            ),
            (
                exit(
                    ExitReason::NotStarted("command \"x\" not found".into()),
                    false,
                ),
                0,
                "command \"x\" not found",
                None,
            ),
        ];
        for (exit, memory, error, code) in cases {
            let status = ended(&exit, &limit(memory));
            assert_eq!(status.state, TaskState::Failed);
            assert_eq!((status.error.as_str(), status.exit_code), (error, code));
        }
    }

    #[test]
    fn only_code_zero_is_complete() {
        let status = ended(&exit(ExitReason::Code(0), false), &limit(0));
        assert_eq!(
            (status.state, status.exit_code),
            (TaskState::Complete, Some(0))
        );
        assert_eq!(status.error, "");
    }

    #[test]
    fn sizes_keep_their_exact_value() {
        let texts = [1 << 30, 1536 << 20, 3 << 10, 1000].map(size);
        assert_eq!(texts, ["1 GiB", "1536 MiB", "3 KiB", "1000 bytes"]);
    }
}
