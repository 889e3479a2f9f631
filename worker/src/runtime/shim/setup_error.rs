//! Why a task's command was not executed; reaches the person who ordered the task.

use crate::runtime::cgroup::CgroupError;
use std::error::Error;
use std::io;

/// One variant per kind of advice.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("command {command:?} not found in PATH ({path})")]
    NotInPath { command: String, path: String },
    #[error("command {0:?} does not exist")]
    NoSuchFile(String),
    #[error("command {0:?} is not an executable file")]
    NotExecutable(String),
    #[error("command {0:?} exists but its interpreter or dynamic loader does not")]
    NoInterpreter(String),
    #[error("user {0:?} is not in the task's /etc/passwd")]
    NoSuchUser(String),
    #[error("group {0:?} is not in the task's /etc/group")]
    NoSuchGroup(String),
    #[error("mount source {0} is hidden from tasks")]
    HiddenSource(String),
    #[error("mount target {0} leads out of the task's root")]
    TargetEscapes(String),
    #[error("the control group cannot be entered")]
    Cgroup(#[from] CgroupError),
    #[error("{what}")]
    Step {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl SetupError {
    /// The error and its causes in one line.
    pub(super) fn message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Names the step that failed.
pub(super) fn step<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> SetupError {
    let what = what.into();
    move |source| SetupError::Step {
        what,
        source: source.into(),
    }
}
