//! The directory of one task: the only thing daemon, supervisor and first process share.
//!
//! Every record is written whole under another name, flushed, and renamed: a reader sees all of
//! it or nothing, also after a power cut.

use crate::durable;
use crate::runtime::Exit;
use crate::runtime::TaskLaunch;
use crate::runtime::cgroup::Cgroups;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

/// What the daemon orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaunchRecord {
    pub(crate) launch: TaskLaunch,
    pub(crate) cgroups: Cgroups,
    /// How many secrets and configs the task must get: without them it is not started.
    #[serde(default)]
    pub(crate) files: usize,
}

/// A process that can be recognised after its number was given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    pub(crate) pid: u32,
    /// Start time in clock ticks since boot, as in `/proc/<pid>/stat`.
    pub(crate) start_ticks: u64,
}

/// Written by the supervisor once the command was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningRecord {
    pub(crate) process: ProcessRecord,
    pub(crate) started_at: SystemTime,
}

const LAUNCH: &str = "launch.json";

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Paths and records of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskDir(PathBuf);

impl TaskDir {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory, for the owner's eyes only: environments may hold passwords.
    pub(crate) fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.root_mount())
    }

    /// Where the first process mounts the task's root, in its own mount namespace.
    pub(crate) fn root_mount(&self) -> PathBuf {
        self.0.join("root")
    }

    /// What the supervisor itself says when it breaks.
    pub(crate) fn shim_stderr(&self) -> PathBuf {
        self.0.join("shim.err")
    }

    /// Locked as long as a supervisor lives, so there is never a second one.
    pub(crate) fn open_lock(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(self.0.join("shim.lock"))
    }

    pub(crate) fn launch(&self) -> io::Result<Option<LaunchRecord>> {
        self.read(LAUNCH)
    }

    /// Whether there was an order, in a place that did not outlive a reboot.
    pub(crate) fn launch_is_forgotten(&self) -> bool {
        let link = self.0.join(LAUNCH);
        fs::symlink_metadata(&link).is_ok() && !link.exists()
    }

    /// Writes the order down: here, or in the directory `aside`, which then only a link here leads
    /// to. It names the task's program, networks and neighbours, and may hold passwords.
    pub(crate) fn write_launch(
        &self,
        record: &LaunchRecord,
        aside: Option<&Path>,
    ) -> io::Result<()> {
        let Some(aside) = aside else {
            return self.write(LAUNCH, record);
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(aside)?;
        let path = aside.join(format!("{}.json", record.launch.id));
        durable::replace(&path, &serde_json::to_vec(record)?)?;
        let fresh = self.0.join(format!("{LAUNCH}.new"));
        absent_is_fine(fs::remove_file(&fresh))?;
        symlink(&path, &fresh)?;
        fs::rename(&fresh, self.0.join(LAUNCH))?;
        File::open(&self.0)?.sync_all()
    }

    /// Removes the order: what is left here is nobody's.
    pub(crate) fn remove_launch(&self) -> io::Result<()> {
        let here = self.0.join(LAUNCH);
        let aside = fs::read_link(&here);
        absent_is_fine(fs::remove_file(&here))?;
        aside.map_or(Ok(()), |aside| absent_is_fine(fs::remove_file(aside)))
    }

    pub(crate) fn shim(&self) -> io::Result<Option<ProcessRecord>> {
        self.read("shim.json")
    }

    pub(crate) fn write_shim(&self, record: &ProcessRecord) -> io::Result<()> {
        self.write("shim.json", record)
    }

    pub(crate) fn running(&self) -> io::Result<Option<RunningRecord>> {
        self.read("running.json")
    }

    pub(crate) fn write_running(&self, record: &RunningRecord) -> io::Result<()> {
        self.write("running.json", record)
    }

    pub(crate) fn exit(&self) -> io::Result<Option<Exit>> {
        self.read("exit.json")
    }

    pub(crate) fn write_exit(&self, record: &Exit) -> io::Result<()> {
        self.write("exit.json", record)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write<T: Serialize>(&self, name: &str, record: &T) -> io::Result<()> {
        durable::replace(&self.0.join(name), &serde_json::to_vec(record)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ExitReason;
    use std::time::UNIX_EPOCH;

    #[test]
    fn an_order_that_lies_aside_is_forgotten_with_its_place_and_removed_with_its_link() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, aside) = (TaskDir::at(temp.path().join("t")), temp.path().join("run"));
        dir.create().unwrap();
        let record = LaunchRecord {
            launch: TaskLaunch::new(crate::fixture::task_id(1), vec!["canary".to_owned()]),
            cgroups: Cgroups::detect("weft-test").unwrap(),
            files: 0,
        };
        assert!(!dir.launch_is_forgotten());
        dir.write_launch(&record, Some(&aside)).unwrap();
        dir.write_launch(&record, Some(&aside)).unwrap();
        assert_eq!(dir.launch().unwrap(), Some(record.clone()));
        assert!(!dir.launch_is_forgotten());
        for entry in fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let link = fs::symlink_metadata(&path).unwrap().is_symlink();
            assert!(link || path.is_dir(), "{} lies here", path.display());
        }
        fs::remove_dir_all(&aside).unwrap();
        assert_eq!(dir.launch().unwrap(), None);
        assert!(dir.launch_is_forgotten());

        dir.write_launch(&record, Some(&aside)).unwrap();
        dir.remove_launch().unwrap();
        dir.remove_launch().unwrap();
        assert!(!dir.launch_is_forgotten());
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }

    #[test]
    fn a_record_reads_back_and_a_missing_one_is_none() {
        let temp = tempfile::tempdir().unwrap();
        let dir = TaskDir::at(temp.path().join("t"));
        dir.create().unwrap();
        let exit = Exit {
            reason: ExitReason::Signal(9),
            oom_killed: true,
            at: UNIX_EPOCH,
        };
        assert_eq!(dir.exit().unwrap(), None);
        dir.write_exit(&exit).unwrap();
        assert_eq!(dir.exit().unwrap(), Some(exit));
    }
}
