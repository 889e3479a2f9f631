//! What is known about the tasks of this node, and who waits for news of them.

use crate::runtime::RuntimeError;
use crate::runtime::TaskFile;
use crate::runtime::TaskLaunch;
use crate::runtime::TaskObservation;
use crate::runtime::task_dir::TaskDir;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use weft_proto::TaskId;

/// One task.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    dir: TaskDir,
    launch: Arc<TaskLaunch>,
    observation: TaskObservation,
    /// Secrets and configs, from its preparation to its start.
    files: Vec<TaskFile>,
}

impl Entry {
    pub(super) fn new(dir: TaskDir, launch: Arc<TaskLaunch>, observation: TaskObservation) -> Self {
        Self {
            dir,
            launch,
            observation,
            files: Vec::new(),
        }
    }
}

/// All tasks.
#[derive(Debug, Default)]
pub(super) struct Registry {
    tasks: Mutex<BTreeMap<TaskId, Entry>>,
    changes: watch::Sender<u64>,
}

impl Registry {
    pub(super) fn insert(&self, task: TaskId, entry: Entry) {
        self.tasks.lock().insert(task, entry);
        self.announce();
    }

    /// Keeps a prepared task's secrets and configs until it starts.
    pub(super) fn bring(&self, task: TaskId, files: Vec<TaskFile>) {
        if let Some(entry) = self.tasks.lock().get_mut(&task)
            && entry.observation == TaskObservation::Prepared
        {
            entry.files = files;
        }
    }

    /// Takes them, once.
    pub(super) fn take_files(&self, task: TaskId) -> Vec<TaskFile> {
        let mut tasks = self.tasks.lock();
        let entry = tasks.get_mut(&task);
        entry
            .map(|entry| std::mem::take(&mut entry.files))
            .unwrap_or_default()
    }

    pub(super) fn forget(&self, task: TaskId) {
        self.tasks.lock().remove(&task);
        self.announce();
    }

    /// Takes note of a new state. The end of a task is final.
    pub(super) fn set(&self, task: TaskId, observation: TaskObservation) {
        if let Some(entry) = self.tasks.lock().get_mut(&task)
            && entry.observation.exit().is_none()
        {
            entry.observation = observation;
        }
        self.announce();
    }

    /// Claims a prepared task for starting; false if that was done before.
    pub(super) fn begin_start(&self, task: TaskId) -> Result<bool, RuntimeError> {
        self.replace_prepared(task, TaskObservation::Starting)
    }

    /// Moves a task on that is still only prepared; false if it is not.
    pub(super) fn replace_prepared(
        &self,
        task: TaskId,
        next: TaskObservation,
    ) -> Result<bool, RuntimeError> {
        let mut tasks = self.tasks.lock();
        let entry = tasks
            .get_mut(&task)
            .ok_or(RuntimeError::UnknownTask(task))?;
        let prepared = entry.observation == TaskObservation::Prepared;
        if prepared {
            entry.observation = next;
            drop(tasks);
            self.announce();
        }
        Ok(prepared)
    }

    /// Returns the first state of a task that is what the caller waits for.
    pub(super) async fn wait(
        &self,
        task: TaskId,
        wanted: impl Fn(&TaskObservation) -> bool,
    ) -> Result<TaskObservation, RuntimeError> {
        let mut changes = self.changes();
        loop {
            // Marked as seen before looking, so that a change in between wakes this up.
            changes.borrow_and_update();
            let seen = self.observation(task)?;
            if wanted(&seen) {
                return Ok(seen);
            }
            if changes.changed().await.is_err() {
                return Ok(seen); // cannot happen: the sender is in self
            }
        }
    }

    pub(super) fn observation(&self, task: TaskId) -> Result<TaskObservation, RuntimeError> {
        self.read(task, |entry| entry.observation.clone())
    }

    pub(super) fn dir(&self, task: TaskId) -> Result<TaskDir, RuntimeError> {
        self.read(task, |entry| entry.dir.clone())
    }

    pub(super) fn launch(&self, task: TaskId) -> Option<Arc<TaskLaunch>> {
        self.read(task, |entry| Arc::clone(&entry.launch)).ok()
    }

    pub(super) fn observe(&self) -> BTreeMap<TaskId, TaskObservation> {
        let tasks = self.tasks.lock();
        tasks
            .iter()
            .map(|(task, entry)| (*task, entry.observation.clone()))
            .collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn read<T>(&self, task: TaskId, get: impl FnOnce(&Entry) -> T) -> Result<T, RuntimeError> {
        self.tasks
            .lock()
            .get(&task)
            .map(get)
            .ok_or(RuntimeError::UnknownTask(task))
    }

    fn announce(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
