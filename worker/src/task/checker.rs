//! Runs the health checks of this node's tasks, each on its own.

use crate::runtime::Runtime;
use crate::task::health::Checks;
use crate::task::health::Health;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tracing::debug;
use weft_proto::TaskId;
use weft_proto::spec::HealthCheck;

/// Checks tasks, and knows how they are. Dropping it ends the checks under way.
#[derive(Debug)]
pub struct Checker {
    runtime: Arc<dyn Runtime>,
    tasks: BTreeMap<TaskId, Checks>,
    running: JoinSet<(TaskId, Result<(), String>)>,
    busy: BTreeSet<TaskId>,
}

impl Checker {
    /// Checks nothing yet.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Checker {
            runtime,
            tasks: BTreeMap::new(),
            running: JoinSet::new(),
            busy: BTreeSet::new(),
        }
    }

    /// A task runs since `started`, and is to be checked from now on. `healthy`: the cluster knows
    /// that it was once.
    pub fn watch(&mut self, task: TaskId, check: &HealthCheck, started: Instant, healthy: bool) {
        self.tasks
            .entry(task)
            .or_insert_with(|| Checks::new(check.clone(), started, healthy, Instant::now()));
    }

    /// How a task is that has a check.
    pub fn health(&self, task: TaskId) -> &Health {
        self.tasks
            .get(&task)
            .map_or(&Health::Starting, Checks::health)
    }

    /// Forgets tasks that `known` does not hold.
    pub fn retain(&mut self, known: impl Fn(TaskId) -> bool) {
        self.tasks.retain(|task, _| known(*task));
    }

    /// Checks tasks when it is time, and returns when the health of one changed. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            let next = self.begin_due();
            let due = async move {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = self.running.join_next(), if !self.running.is_empty() => {
                    // A check that panicked is one that never ends: its task is not checked again.
                    if let Ok((task, result)) = done && self.settle(task, result) {
                        return;
                    }
                }
                () = due => {}
            }
        }
    }

    /// Begins what is due, and says when the next one is.
    fn begin_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for (task, checks) in &self.tasks {
            let Some(due) = checks.due().filter(|_| !self.busy.contains(task)) else {
                continue;
            };
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            self.busy.insert(*task);
            let (task, runtime, check) = (*task, Arc::clone(&self.runtime), checks.check().clone());
            self.running.spawn(async move {
                let result = runtime.check(task, &check.command, check.timeout).await;
                (task, result)
            });
        }
        next
    }

    fn settle(&mut self, task: TaskId, result: Result<(), String>) -> bool {
        self.busy.remove(&task);
        if let Err(why) = &result {
            debug!(%task, why, "health check failed");
        }
        let checks = self.tasks.get_mut(&task);
        checks.is_some_and(|checks| checks.step(Instant::now(), result))
    }
}
