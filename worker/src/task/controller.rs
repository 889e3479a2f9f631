//! Carries out the slow work of tasks, each on its own, so that none waits for another.

use crate::runtime::Runtime;
use crate::runtime::RuntimeError;
use crate::runtime::StopPolicy;
use crate::runtime::TaskLaunch;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::Id;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::info;
use tracing::warn;
use weft_proto::TaskId;

/// Pause before a failed stop or removal is tried again; doubled each time up to `RETRY_MAX`.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Work on one task, complete in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Prepare and start it.
    Start(Box<TaskLaunch>),
    /// End it, keep its output.
    Stop(StopPolicy),
    /// End it and remove everything of it.
    Remove(StopPolicy),
}

/// Why the last job of a task did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words for people, causes included.
    pub error: String,
    /// It was a start that can never succeed.
    pub permanent: bool,
    /// It was a start; other jobs are tried again.
    pub start: bool,
    attempts: u32,
    retry_at: Instant,
}

/// Runs jobs on a runtime. At most one per task at a time; dropping it abandons them, which every
/// verb of a runtime survives.
#[derive(Debug)]
pub struct Controller {
    runtime: Arc<dyn Runtime>,
    jobs: JoinSet<Result<(), RuntimeError>>,
    busy: BTreeMap<TaskId, Verb>,
    owners: BTreeMap<Id, TaskId>,
    failures: BTreeMap<TaskId, Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Remove,
}

impl Controller {
    /// With no jobs yet.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Controller {
            runtime,
            jobs: JoinSet::new(),
            busy: BTreeMap::new(),
            owners: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Begins a job, unless one of this task is under way or waits for its retry.
    pub fn begin(&mut self, task: TaskId, job: Job) {
        let waits = self
            .failures
            .get(&task)
            .is_some_and(|failure| !failure.start && failure.retry_at > Instant::now());
        if waits || self.busy.contains_key(&task) {
            return;
        }
        let verb = match job {
            Job::Start(_) => Verb::Start,
            Job::Stop(_) => Verb::Stop,
            Job::Remove(_) => Verb::Remove,
        };
        info!(%task, ?verb, "task job begins");
        self.busy.insert(task, verb);
        let runtime = Arc::clone(&self.runtime);
        let handle = self.jobs.spawn(carry_out(runtime, task, job));
        self.owners.insert(handle.id(), task);
    }

    /// Waits for the next job to end; for ever when there is none. Cancel-safe.
    pub async fn finished(&mut self) {
        match self.jobs.join_next_with_id().await {
            Some(Ok((id, outcome))) => {
                self.settle(id, outcome.map_err(|error| Trouble::from(&error)))
            }
            Some(Err(error)) => {
                let text = format!("internal error: {error}");
                self.settle(
                    error.id(),
                    Err(Trouble {
                        text,
                        permanent: false,
                    }),
                );
            }
            None => std::future::pending().await,
        }
    }

    /// Whether a job of this task is under way.
    pub fn is_busy(&self, task: TaskId) -> bool {
        self.busy.contains_key(&task)
    }

    /// The tasks with a job under way.
    pub fn busy(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.busy.keys().copied()
    }

    /// Why a task could not be started.
    pub fn start_failure(&self, task: TaskId) -> Option<&Failure> {
        self.failures.get(&task).filter(|failure| failure.start)
    }

    /// What goes wrong again and again, for people.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let retried = self.failures.iter().filter(|(_, failure)| !failure.start);
        retried.map(|(task, failure)| format!("task {task}: {}", failure.error))
    }

    /// When a failed job should be begun again.
    pub fn retry_at(&self) -> Option<Instant> {
        let retried = self
            .failures
            .iter()
            .filter(|(task, failure)| !failure.start && !self.busy.contains_key(task));
        retried.map(|(_, failure)| failure.retry_at).min()
    }

    /// Forgets failures of tasks that `known` does not hold.
    pub fn retain(&mut self, known: impl Fn(TaskId) -> bool) {
        self.failures.retain(|task, _| known(*task));
    }

    fn settle(&mut self, id: Id, outcome: Result<(), Trouble>) {
        let Some(task) = self.owners.remove(&id) else {
            return;
        };
        let start = self.busy.remove(&task) == Some(Verb::Start);
        let Err(trouble) = outcome else {
            self.failures.remove(&task);
            return;
        };
        warn!(%task, error = %trouble.text, "task job failed");
        let attempts = self.failures.get(&task).map_or(0, |last| last.attempts);
        let pause = RETRY_MAX.min(RETRY_MIN * 2_u32.pow(attempts.min(10)));
        let failure = Failure {
            error: trouble.text,
            permanent: trouble.permanent,
            start,
            attempts: attempts.saturating_add(1),
            retry_at: Instant::now() + pause,
        };
        self.failures.insert(task, failure);
    }
}

struct Trouble {
    text: String,
    permanent: bool,
}

impl From<&RuntimeError> for Trouble {
    fn from(error: &RuntimeError) -> Self {
        let causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
        let words: Vec<_> = causes.map(ToString::to_string).collect();
        Trouble {
            text: words.join(": "),
            permanent: matches!(error, RuntimeError::Launch { .. }),
        }
    }
}

async fn carry_out(runtime: Arc<dyn Runtime>, task: TaskId, job: Job) -> Result<(), RuntimeError> {
    match job {
        Job::Start(launch) => start(&*runtime, *launch).await,
        Job::Stop(policy) => runtime.stop(task, policy).await.map(drop),
        Job::Remove(policy) => match runtime.stop(task, policy).await {
            Ok(_) | Err(RuntimeError::UnknownTask(_)) => runtime.remove(task).await,
            Err(error) => Err(error),
        },
    }
}

async fn start(runtime: &dyn Runtime, launch: TaskLaunch) -> Result<(), RuntimeError> {
    let task = launch.id;
    match runtime.prepare(launch.clone()).await {
        // Prepared before the daemon started anew with other facts; it never ran, so it can go.
        Err(RuntimeError::Conflict(_)) => {
            runtime.remove(task).await?;
            runtime.prepare(launch).await?;
        }
        prepared => prepared?,
    }
    runtime.start(task).await.map(drop)
}
