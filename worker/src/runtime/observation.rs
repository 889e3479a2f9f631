//! What a runtime knows about a task.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::time::SystemTime;

/// The state of one task, as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskObservation {
    /// Directory, limits and launch order are in place; nothing runs yet.
    Prepared,
    /// The supervisor runs and builds the task's root and namespaces.
    Starting,
    /// The command was executed.
    Running {
        /// The task's first process, as numbered on the host.
        pid: u32,
        /// When the command was executed.
        started_at: SystemTime,
    },
    /// The command ended, or never began; final.
    Exited(Exit),
}

impl TaskObservation {
    /// How the task ended, if it did.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited(exit) => Some(exit),
            Self::Prepared | Self::Starting | Self::Running { .. } => None,
        }
    }
}

/// The end of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub reason: ExitReason,
    /// The kernel killed a process of the task for lack of memory, and the task did not recover.
    pub oom_killed: bool,
    /// When the end was recorded.
    pub at: SystemTime,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitReason {
    /// The command returned this code.
    Code(i32),
    /// The command died of this signal.
    Signal(i32),
    /// The command was never executed; the text says what was wrong and is meant for people.
    NotStarted(String),
    /// The supervisor vanished without a record, so what the command did is not known.
    Lost(String),
}

impl Exit {
    /// Whether the command ran to its end and returned 0.
    pub fn is_success(&self) -> bool {
        self.reason == ExitReason::Code(0)
    }

    /// The code a shell would report: 128 plus the signal for a death by signal; absent when the
    /// command never ran or its end is not known.
    pub fn shell_code(&self) -> Option<i32> {
        match self.reason {
            ExitReason::Code(code) => Some(code),
            ExitReason::Signal(signal) => Some(128 + signal),
            ExitReason::NotStarted(_) | ExitReason::Lost(_) => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oom_killed {
            f.write_str("out of memory: ")?;
        }
        match &self.reason {
            ExitReason::Code(code) => write!(f, "exited with code {code}"),
            ExitReason::Signal(signal) => write!(f, "killed by signal {signal}"),
            ExitReason::NotStarted(message) => write!(f, "could not start: {message}"),
            ExitReason::Lost(message) => f.write_str(message),
        }
    }
}
