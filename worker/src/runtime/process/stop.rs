//! Ends tasks: asking first, killing when asking did not help.

use super::Shared;
use super::blocking;
use crate::runtime::Exit;
use crate::runtime::ExitReason;
use crate::runtime::RuntimeError;
use crate::runtime::StopPolicy;
use crate::runtime::TaskObservation;
use crate::runtime::cgroup::Group;
use crate::runtime::cgroup::KILL_DEADLINE;
use crate::runtime::pidfd::Disposition;
use crate::runtime::pidfd::Process;
use crate::runtime::pidfd::disposition;
use rustix::process::Signal;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::info;
use tracing::warn;
use weft_proto::TaskId;

/// How long the supervisor is waited for before the group is killed again: a task that was just
/// being started may have entered its group in between.
const KILL_ROUND: Duration = Duration::from_millis(200);

/// Signals that do not end a process which takes no notice of them (CHLD, CONT, STOP, TSTP, TTIN,
/// TTOU, URG, WINCH).
const HARMLESS: [i32; 8] = [17, 18, 19, 20, 21, 22, 23, 28];

impl Shared {
    pub(super) async fn stop(
        self: &Arc<Self>,
        task: TaskId,
        policy: StopPolicy,
    ) -> Result<TaskObservation, RuntimeError> {
        if self.end_unstarted(task).await? {
            return self.registry.observation(task);
        }
        if let TaskObservation::Running { pid, .. } = self.registry.observation(task)?
            && self.ask(task, pid, policy.signal)?
        {
            let exited = self.registry.wait(task, |seen| seen.exit().is_some());
            if let Ok(ended) = timeout(policy.grace, exited).await {
                return ended;
            }
            info!(%task, grace_ms = policy.grace.as_millis(), "task did not end in time, killed");
        }
        self.kill(task).await
    }

    pub(super) async fn remove(self: &Arc<Self>, task: TaskId) -> Result<(), RuntimeError> {
        if self.registry.observation(task).is_err() {
            return Ok(());
        }
        let unstarted = self.end_unstarted(task).await?;
        if !unstarted && let Err(error) = self.kill(task).await {
            warn!(%task, %error, "supervisor hangs, killed");
            self.kill_supervisor(task).await?;
        }
        let shared = Arc::clone(self);
        blocking(move || shared.discard(task)).await?;
        self.registry.forget(task);
        Ok(())
    }

    /// Ends a task that has only been prepared; false if it has been started.
    async fn end_unstarted(self: &Arc<Self>, task: TaskId) -> Result<bool, RuntimeError> {
        let exit = Exit {
            reason: ExitReason::NotStarted("stopped before it was started".to_owned()),
            oom_killed: false,
            at: (self.config.now)(),
        };
        let ended = TaskObservation::Exited(exit.clone());
        if !self.registry.replace_prepared(task, ended)? {
            return Ok(false);
        }
        let dir = self.registry.dir(task)?;
        blocking(move || {
            dir.write_exit(&exit)
                .map_err(|source| RuntimeError::Prepare {
                    task,
                    path: dir.path().to_owned(),
                    source,
                })
        })
        .await?;
        Ok(true)
    }

    /// Signals the first process of a task; false if waiting for an answer is pointless.
    fn ask(&self, task: TaskId, pid: u32, signal: i32) -> Result<bool, RuntimeError> {
        let failed = |source| RuntimeError::Signal {
            task,
            signal,
            source,
        };
        let named = Signal::from_named_raw(signal)
            .ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let record = self.registry.dir(task)?.running().map_err(failed)?;
        let process = record.map(|record| Process::reopen(record.process));
        let Some(process) = process.transpose().map_err(failed)?.flatten() else {
            return Ok(true); // ended by itself; the record of that is on its way
        };
        // The kernel spares the first process of a namespace the default action of signals, so
        // one without a handler would sit out its whole grace. Everywhere else the signal would
        // have killed it on the spot: do that.
        let deaf = disposition(pid, signal) == Disposition::Default && !HARMLESS.contains(&signal);
        if deaf {
            return Ok(false);
        }
        process.signal(named).map_err(failed)?;
        Ok(true)
    }

    /// Kills everything in a task and returns how it ended.
    async fn kill(self: &Arc<Self>, task: TaskId) -> Result<TaskObservation, RuntimeError> {
        let rounds = KILL_DEADLINE.as_millis() / KILL_ROUND.as_millis();
        for _ in 0..rounds {
            let shared = Arc::clone(self);
            blocking(move || Ok(shared.cgroups.kill_all(Group::Task(task))?)).await?;
            let exited = self.registry.wait(task, |seen| seen.exit().is_some());
            if let Ok(ended) = timeout(KILL_ROUND, exited).await {
                return ended;
            }
        }
        Err(RuntimeError::Unkillable {
            task,
            waited_s: KILL_DEADLINE.as_secs(),
        })
    }

    /// Last resort: without its supervisor the task is lost, and what is left of it is killed.
    async fn kill_supervisor(self: &Arc<Self>, task: TaskId) -> Result<(), RuntimeError> {
        let signal = Signal::KILL.as_raw();
        let failed = |source| RuntimeError::Signal {
            task,
            signal,
            source,
        };
        if let Some(record) = self.registry.dir(task)?.shim().map_err(failed)?
            && let Some(process) = Process::reopen(record).map_err(failed)?
        {
            process.signal(Signal::KILL).map_err(failed)?;
        }
        let exited = self.registry.wait(task, |seen| seen.exit().is_some());
        match timeout(KILL_DEADLINE, exited).await {
            Ok(ended) => ended.map(|_| ()),
            Err(_) => Err(RuntimeError::Unkillable {
                task,
                waited_s: KILL_DEADLINE.as_secs(),
            }),
        }
    }
}
