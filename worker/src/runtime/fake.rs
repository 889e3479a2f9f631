//! A runtime without processes, for the tests of whoever drives one.

use crate::runtime::Exit;
use crate::runtime::ExitReason;
use crate::runtime::LogLine;
use crate::runtime::LogLines;
use crate::runtime::LogQuery;
use crate::runtime::Runtime;
use crate::runtime::RuntimeError;
use crate::runtime::StopPolicy;
use crate::runtime::Tail;
use crate::runtime::TaskLaunch;
use crate::runtime::TaskObservation;
use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;
use tokio::sync::watch;
use weft_proto::TaskId;

/// What a verb was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Runtime::prepare`]
    Prepare(Box<TaskLaunch>),
    /// [`Runtime::start`]
    Start(TaskId),
    /// [`Runtime::stop`]
    Stop(TaskId, StopPolicy),
    /// [`Runtime::remove`]
    Remove(TaskId),
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<TaskId, (TaskLaunch, TaskObservation)>,
    logs: BTreeMap<TaskId, Vec<LogLine>>,
    calls: Vec<Call>,
    starts: VecDeque<Result<TaskObservation, RuntimeError>>,
    failures: VecDeque<RuntimeError>,
    checks: BTreeMap<TaskId, String>,
    pids: u32,
}

/// Remembers what it was asked and does what it was told beforehand: unless told otherwise every
/// start succeeds and every stop ends the task with code 0. Its clock stands still at 1970.
#[derive(Debug, Default)]
pub struct FakeRuntime {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl FakeRuntime {
    /// A runtime with no tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the next unanswered [`Runtime::start`] leads to.
    pub fn push_start(&self, outcome: Result<TaskObservation, RuntimeError>) {
        self.state.lock().starts.push_back(outcome);
    }

    /// Makes the next call of prepare, stop or remove fail.
    pub fn push_failure(&self, error: RuntimeError) {
        self.state.lock().failures.push_back(error);
    }

    /// What checks of a task say from now on; `None`: that it is well.
    pub fn ail(&self, task: TaskId, why: Option<&str>) {
        let checks = &mut self.state.lock().checks;
        match why {
            Some(why) => _ = checks.insert(task, why.to_owned()),
            None => _ = checks.remove(&task),
        }
    }

    /// Lets a task end by itself.
    pub fn exit(&self, task: TaskId, reason: ExitReason) {
        self.set(task, exited(reason));
    }

    /// Puts a task into any state.
    pub fn set(&self, task: TaskId, observation: TaskObservation) {
        if let Some((_, seen)) = self.state.lock().tasks.get_mut(&task) {
            *seen = observation;
        }
        self.announce();
    }

    /// Adds output to a task.
    pub fn push_log(&self, task: TaskId, line: LogLine) {
        self.state.lock().logs.entry(task).or_default().push(line);
    }

    /// All calls so far that change something, in order; forgotten by being read.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().calls)
    }

    fn announce(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn record(&self, call: Call) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        state.calls.push(call);
        state.failures.pop_front().map_or(Ok(()), Err)
    }

    fn observation(&self, task: TaskId) -> Result<TaskObservation, RuntimeError> {
        let state = self.state.lock();
        let known = state
            .tasks
            .get(&task)
            .ok_or(RuntimeError::UnknownTask(task))?;
        Ok(known.1.clone())
    }
}

fn exited(reason: ExitReason) -> TaskObservation {
    TaskObservation::Exited(Exit {
        reason,
        oom_killed: false,
        at: UNIX_EPOCH,
    })
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn prepare(&self, launch: TaskLaunch) -> Result<(), RuntimeError> {
        self.record(Call::Prepare(Box::new(launch.clone())))?;
        let task = launch.id;
        let fresh = (launch.clone(), TaskObservation::Prepared);
        let conflict = self.state.lock().tasks.entry(task).or_insert(fresh).0 != launch;
        self.announce();
        if conflict {
            Err(RuntimeError::Conflict(task))
        } else {
            Ok(())
        }
    }

    async fn start(&self, task: TaskId) -> Result<TaskObservation, RuntimeError> {
        self.state.lock().calls.push(Call::Start(task));
        let seen = self.observation(task)?;
        if seen != TaskObservation::Prepared {
            return Ok(seen);
        }
        let queued = {
            let mut state = self.state.lock();
            state.pids += 1;
            let running = TaskObservation::Running {
                pid: state.pids,
                started_at: SystemTime::UNIX_EPOCH,
            };
            state.starts.pop_front().unwrap_or(Ok(running))
        };
        let outcome = queued?;
        self.set(task, outcome.clone());
        Ok(outcome)
    }

    async fn stop(
        &self,
        task: TaskId,
        policy: StopPolicy,
    ) -> Result<TaskObservation, RuntimeError> {
        self.record(Call::Stop(task, policy))?;
        if self.observation(task)?.exit().is_none() {
            self.set(task, exited(ExitReason::Code(0)));
        }
        self.observation(task)
    }

    async fn remove(&self, task: TaskId) -> Result<(), RuntimeError> {
        self.record(Call::Remove(task))?;
        self.state.lock().tasks.remove(&task);
        self.announce();
        Ok(())
    }

    async fn check(&self, task: TaskId, _: &[String], _: Duration) -> Result<(), String> {
        self.state
            .lock()
            .checks
            .get(&task)
            .cloned()
            .map_or(Ok(()), Err)
    }

    fn observe(&self) -> BTreeMap<TaskId, TaskObservation> {
        let state = self.state.lock();
        state
            .tasks
            .iter()
            .map(|(task, (_, seen))| (*task, seen.clone()))
            .collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn logs(&self, task: TaskId, query: LogQuery) -> Result<LogLines, RuntimeError> {
        self.observation(task)?;
        let mut lines = self
            .state
            .lock()
            .logs
            .get(&task)
            .cloned()
            .unwrap_or_default();
        lines.retain(|line| query.since.is_none_or(|since| line.time >= since));
        if let Tail::Last(wanted) = query.tail {
            lines.drain(..lines.len().saturating_sub(wanted));
        }
        Ok(futures::stream::iter(lines.into_iter().map(Ok)).boxed())
    }
}
