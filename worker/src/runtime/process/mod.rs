//! Tasks as processes of this machine, each under a supervisor of its own.

mod adopt;
mod check;
mod registry;
mod stop;
mod supervise;

use crate::runtime::LogLines;
use crate::runtime::LogQuery;
use crate::runtime::Runtime;
use crate::runtime::RuntimeError;
use crate::runtime::StopPolicy;
use crate::runtime::TaskLaunch;
use crate::runtime::TaskObservation;
use crate::runtime::cgroup::Cgroups;
use crate::runtime::cgroup::Group;
use crate::runtime::log;
use crate::runtime::shim::Clock;
use crate::runtime::task_dir::LaunchRecord;
use async_trait::async_trait;
use parking_lot::Mutex;
use registry::Entry;
use registry::Registry;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;
use weft_proto::TaskId;

/// Where a process runtime keeps its things.
#[derive(Clone, Debug)]
pub struct ProcessRuntimeConfig {
    /// Holds one directory per task and nothing else. Must be hidden from tasks.
    pub tasks_dir: PathBuf,
    /// Name of the base control group, such as `weft-3f2a`. Two runtimes on one machine need two.
    pub cgroup_base: String,
    /// The program that has the `shim` and `task-init` subcommands.
    pub shim_program: PathBuf,
    /// Where the time comes from.
    pub now: Clock,
}

impl ProcessRuntimeConfig {
    /// The running program supervises: right for every program that passes `shim` and
    /// `task-init` on to [`shim::main`](crate::runtime::shim::main).
    pub fn new(tasks_dir: PathBuf, cgroup_base: String, now: Clock) -> Self {
        Self {
            tasks_dir,
            cgroup_base,
            shim_program: PathBuf::from("/proc/self/exe"),
            now,
        }
    }
}

/// Runs tasks as processes. Dropping it leaves them running; opening it again adopts them.
#[derive(Debug)]
pub struct ProcessRuntime {
    shared: Arc<Shared>,
    /// One watcher per living task; they end with the runtime, the tasks do not.
    watchers: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    config: ProcessRuntimeConfig,
    cgroups: Cgroups,
    registry: Registry,
}

impl ProcessRuntime {
    /// Opens the task directories, adopts what still runs, and finds out what became of the
    /// rest. Must be called in a tokio runtime.
    pub async fn open(config: ProcessRuntimeConfig) -> Result<Self, RuntimeError> {
        let cgroups = Cgroups::detect(&config.cgroup_base)?;
        let shared = Arc::new(Shared {
            config,
            cgroups,
            registry: Registry::default(),
        });
        let runtime = Self {
            shared: Arc::clone(&shared),
            watchers: Mutex::new(JoinSet::new()),
        };
        let living = blocking(move || shared.adopt_all()).await?;
        for task in living {
            runtime.watch(supervise::adopted(Arc::clone(&runtime.shared), task));
        }
        Ok(runtime)
    }

    /// Removes the base control group, which fails while there are tasks; for a node that leaves.
    pub fn remove_base_cgroup(&self) -> Result<(), RuntimeError> {
        Ok(self.shared.cgroups.remove_base()?)
    }

    fn watch(&self, watcher: impl Future<Output = ()> + Send + 'static) {
        let mut watchers = self.watchers.lock();
        while watchers.try_join_next().is_some() {}
        watchers.spawn(watcher);
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn prepare(&self, launch: TaskLaunch) -> Result<(), RuntimeError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.prepare(launch)).await
    }

    async fn start(&self, task: TaskId) -> Result<TaskObservation, RuntimeError> {
        let registry = &self.shared.registry;
        if registry.begin_start(task)? {
            let shared = Arc::clone(&self.shared);
            match blocking(move || supervise::spawn(&shared, task)).await {
                Ok(shim) => {
                    info!(%task, "task supervised");
                    self.watch(supervise::started(Arc::clone(&self.shared), task, shim));
                }
                Err(error) => {
                    registry.set(task, TaskObservation::Prepared);
                    return Err(error);
                }
            }
        }
        registry
            .wait(task, |seen| *seen != TaskObservation::Starting)
            .await
    }

    async fn stop(
        &self,
        task: TaskId,
        policy: StopPolicy,
    ) -> Result<TaskObservation, RuntimeError> {
        self.shared.stop(task, policy).await
    }

    async fn remove(&self, task: TaskId) -> Result<(), RuntimeError> {
        self.shared.remove(task).await
    }

    async fn check(
        &self,
        task: TaskId,
        command: &[String],
        timeout: Duration,
    ) -> Result<(), String> {
        self.shared.check(task, command, timeout).await
    }

    fn observe(&self) -> BTreeMap<TaskId, TaskObservation> {
        self.shared.registry.observe()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.registry.changes()
    }

    async fn logs(&self, task: TaskId, query: LogQuery) -> Result<LogLines, RuntimeError> {
        let dir = self.shared.registry.dir(task)?;
        log::stream(task, dir, query)
            .await
            .map_err(|source| RuntimeError::Logs { task, source })
    }
}

impl Shared {
    fn prepare(&self, launch: TaskLaunch) -> Result<(), RuntimeError> {
        let task = launch.id;
        launch
            .check()
            .map_err(|source| RuntimeError::Launch { task, source })?;
        if let Some(known) = self.registry.launch(task) {
            return if *known == launch.without_files() {
                self.registry.bring(task, launch.files);
                Ok(())
            } else {
                Err(RuntimeError::Conflict(task))
            };
        }
        let dir = self.task_dir(task);
        let failed = |source| RuntimeError::Prepare {
            task,
            path: dir.path().to_owned(),
            source,
        };
        let limits = launch.limits;
        let files = launch.files.clone();
        let launch = launch.without_files();
        let record = LaunchRecord {
            launch,
            cgroups: self.cgroups.clone(),
            files: files.len(),
        };
        let prepared = dir
            .create()
            .map_err(failed)
            .and_then(|()| Ok(self.cgroups.create(Group::Task(task), &limits)?))
            // Last, for a directory without this record counts as never prepared.
            .and_then(|()| dir.write_launch(&record).map_err(failed));
        if let Err(error) = prepared {
            // The first error is the one worth telling; leftovers go at the next open.
            let _ = self.cgroups.remove(Group::Task(task));
            let _ = fs::remove_dir_all(dir.path());
            return Err(error);
        }
        let launch = Arc::new(record.launch);
        self.registry
            .insert(task, Entry::new(dir, launch, TaskObservation::Prepared));
        self.registry.bring(task, files);
        Ok(())
    }
}

/// Runs file system work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(
            error
                .try_into_panic()
                .unwrap_or_else(|error| Box::new(io::Error::other(error))),
        ),
    }
}
