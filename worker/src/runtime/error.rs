//! Why a runtime could not do what it was asked.

use crate::runtime::InvalidLaunch;
use std::io;
use std::path::PathBuf;
use weft_proto::TaskId;

/// One variant per operation; what became of the *command* is an observation, not an error.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nothing is known about this task here.
    #[error("task {0} is not on this node")]
    UnknownTask(TaskId),
    /// The launch can never work.
    #[error("task {task} cannot be launched as asked")]
    Launch {
        /// Whose launch.
        task: TaskId,
        /// What is wrong with it.
        #[source]
        source: InvalidLaunch,
    },
    /// Another launch has the same id.
    #[error("task {0} is already prepared with a different launch; remove it first")]
    Conflict(TaskId),
    /// The state directory cannot be read at start.
    #[error("the task directories in {} cannot be opened", path.display())]
    Open {
        /// The state directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Control groups are missing or cannot be changed.
    #[error("control group operation failed")]
    Cgroup(#[from] crate::runtime::cgroup::CgroupError),
    /// Directory or launch record of a task cannot be written.
    #[error("task {task} cannot be prepared in {}", path.display())]
    Prepare {
        /// Which task.
        task: TaskId,
        /// Its directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The supervisor cannot be executed.
    #[error("the supervisor {} of task {task} cannot be started", program.display())]
    Supervisor {
        /// Which task.
        task: TaskId,
        /// The program that was to supervise it.
        program: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The task's process cannot be signalled.
    #[error("signal {signal} cannot be sent to task {task}")]
    Signal {
        /// Which task.
        task: TaskId,
        /// Which signal.
        signal: i32,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Killed, yet the task did not end: a process hangs in the kernel.
    #[error("task {task} was killed but has not ended after {waited_s} s; a process of it hangs")]
    Unkillable {
        /// Which task.
        task: TaskId,
        /// How long was waited, in seconds.
        waited_s: u64,
    },
    /// What a task had cannot be removed.
    #[error("the directory {} of task {task} cannot be removed", path.display())]
    Remove {
        /// Which task.
        task: TaskId,
        /// Its directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The output of a task cannot be read.
    #[error("the output of task {task} cannot be read")]
    Logs {
        /// Whose output.
        task: TaskId,
        /// Cause.
        #[source]
        source: io::Error,
    },
}
