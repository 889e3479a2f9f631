//! What every kind of runtime can do.

use crate::runtime::LogLines;
use crate::runtime::LogQuery;
use crate::runtime::RuntimeError;
use crate::runtime::StopPolicy;
use crate::runtime::TaskLaunch;
use crate::runtime::TaskObservation;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;
use weft_proto::TaskId;

/// Runs tasks on this machine.
///
/// Every verb can be called again after it failed or was cancelled. The truth is [`observe`];
/// [`changes`] only says that it is worth looking.
///
/// [`observe`]: Runtime::observe
/// [`changes`]: Runtime::changes
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync {
    /// Makes everything ready that can be ready before the command runs. Preparing the same
    /// launch twice is fine; preparing a different one under the same id is refused.
    async fn prepare(&self, launch: TaskLaunch) -> Result<(), RuntimeError>;

    /// Runs a prepared task and returns once its command was executed or could not be: then the
    /// observation is `Exited` with `NotStarted`, and this is not an error. Does nothing to a
    /// task that was started before.
    async fn start(&self, task: TaskId) -> Result<TaskObservation, RuntimeError>;

    /// Asks a task to end, kills it when its grace is over, and returns how it ended. A task that
    /// never started is recorded as `NotStarted`.
    async fn stop(&self, task: TaskId, policy: StopPolicy)
    -> Result<TaskObservation, RuntimeError>;

    /// Kills what is left of a task and removes everything it had, its logs too. Removing an
    /// unknown task succeeds.
    async fn remove(&self, task: TaskId) -> Result<(), RuntimeError>;

    /// Runs a command in a running task as the task's own command runs; all it began ends after
    /// `timeout`.
    ///
    /// # Errors
    /// In words for people: its exit code and what it said, or why it could not run.
    async fn check(
        &self,
        task: TaskId,
        command: &[String],
        timeout: Duration,
    ) -> Result<(), String>;

    /// All tasks this runtime has, with their states.
    fn observe(&self) -> BTreeMap<TaskId, TaskObservation>;

    /// A counter that changes after each change of what [`Runtime::observe`] returns.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The output of a task, oldest line first.
    async fn logs(&self, task: TaskId, query: LogQuery) -> Result<LogLines, RuntimeError>;
}
