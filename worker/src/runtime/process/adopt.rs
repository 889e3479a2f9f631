//! What a daemon that starts finds in the task directories.

use super::Shared;
use super::registry::Entry;
use crate::runtime::Exit;
use crate::runtime::ExitReason;
use crate::runtime::Limits;
use crate::runtime::RuntimeError;
use crate::runtime::TaskLaunch;
use crate::runtime::TaskObservation;
use crate::runtime::cgroup::Group;
use crate::runtime::task_dir::TaskDir;
use std::fs;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use tracing::info;
use tracing::warn;
use weft_proto::TaskId;

/// What the files of a task say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    launched: Launched,
    /// A supervisor has been there.
    supervised: bool,
    /// A supervisor is there.
    supervisor_lives: bool,
    exit: Option<Exit>,
}

/// Whether somebody ordered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launched {
    Known,
    /// Yes, before a reboot.
    Forgotten,
    Never,
}

/// What follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Preparing or removing it was interrupted: nothing of it may stay.
    Discard,
    Prepared,
    Living,
    Ended(Exit),
    Lost,
}

fn judge(found: Found) -> Verdict {
    match found {
        Found {
            launched: Launched::Never,
            ..
        } => Verdict::Discard,
        Found {
            exit: Some(exit), ..
        } => Verdict::Ended(exit),
        Found {
            supervisor_lives: true,
            ..
        } => Verdict::Living,
        Found {
            supervised: true, ..
        } => Verdict::Lost,
        Found {
            launched: Launched::Known,
            ..
        } => Verdict::Prepared,
        Found { .. } => Verdict::Discard,
    }
}

/// Whether a supervisor holds the task's lock. Asks the kernel, so that a supervisor that has not
/// yet written who it is counts too.
pub(super) fn supervisor_lives(dir: &TaskDir) -> io::Result<bool> {
    let lock = dir.open_lock()?;
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Shared {
    pub(super) fn task_dir(&self, task: TaskId) -> TaskDir {
        TaskDir::at(self.config.tasks_dir.join(task.as_str()))
    }

    /// Reads all task directories; returns the tasks that are to be watched.
    pub(super) fn adopt_all(&self) -> Result<Vec<TaskId>, RuntimeError> {
        let path = &self.config.tasks_dir;
        let failed = |source| RuntimeError::Open {
            path: path.clone(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        self.cgroups
            .create(Group::Supervisors, &Limits::default())?;
        let mut living = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(task) = name.to_str().and_then(|name| name.parse::<TaskId>().ok()) else {
                warn!(name = %name.display(), "not a task directory, left alone");
                continue;
            };
            if self.adopt(task).map_err(|error| match error {
                AdoptError::Read(source) => failed(source),
                AdoptError::Runtime(error) => error,
            })? {
                living.push(task);
            }
        }
        Ok(living)
    }

    /// Takes one task over; true if it is to be watched.
    fn adopt(&self, task: TaskId) -> Result<bool, AdoptError> {
        let dir = self.task_dir(task);
        let record = sound(task, dir.launch())?;
        // The lock before the record: a supervisor that ends in between leaves the record.
        let supervisor_lives = supervisor_lives(&dir)?;
        let verdict = judge(Found {
            launched: match record {
                Some(_) => Launched::Known,
                None if dir.launch_is_forgotten() => Launched::Forgotten,
                None => Launched::Never,
            },
            supervised: sound(task, dir.shim())?.is_some(),
            supervisor_lives,
            exit: sound(task, dir.exit())?,
        });
        info!(%task, ?verdict, "task found");
        if verdict == Verdict::Discard {
            self.discard(task)?;
            return Ok(false);
        }
        // Of a task that ended before the reboot only its end still matters.
        let launch = record.map_or_else(|| TaskLaunch::new(task, Vec::new()), |it| it.launch);
        let living = verdict == Verdict::Living;
        let observation = match verdict {
            Verdict::Prepared | Verdict::Discard => TaskObservation::Prepared,
            Verdict::Ended(exit) => TaskObservation::Exited(exit),
            Verdict::Lost => TaskObservation::Exited(self.bury(&dir, task)?),
            Verdict::Living => match dir.running()? {
                Some(running) => TaskObservation::Running {
                    pid: running.process.pid,
                    started_at: running.started_at,
                },
                None => TaskObservation::Starting,
            },
        };
        self.registry
            .insert(task, Entry::new(dir, Arc::new(launch), observation));
        Ok(living)
    }

    /// Ends what a vanished supervisor left behind and records that its task is lost.
    pub(super) fn bury(&self, dir: &TaskDir, task: TaskId) -> Result<Exit, RuntimeError> {
        self.cgroups.kill_all(Group::Task(task))?;
        let complaint = fs::read_to_string(dir.shim_stderr()).unwrap_or_default();
        let mut message = "the task's supervisor vanished".to_owned();
        if let Some(last) = complaint.lines().last() {
            message.push_str(": ");
            message.push_str(last);
        }
        let exit = Exit {
            reason: ExitReason::Lost(message),
            oom_killed: false,
            at: (self.config.now)(),
        };
        dir.write_exit(&exit)
            .map_err(|source| RuntimeError::Prepare {
                task,
                path: dir.path().to_owned(),
                source,
            })?;
        Ok(exit)
    }

    /// Removes everything a task has outside this process.
    pub(super) fn discard(&self, task: TaskId) -> Result<(), RuntimeError> {
        self.cgroups.remove(Group::Task(task))?;
        let dir = self.task_dir(task);
        let gone = |done: io::Result<()>| match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RuntimeError::Remove {
                task,
                path: dir.path().to_owned(),
                source: error,
            }),
            Ok(()) | Err(_) => Ok(()),
        };
        // First, so that what an interruption leaves is discarded and never taken for a task.
        gone(dir.remove_launch())?;
        gone(fs::remove_dir_all(dir.path()))
    }
}

/// A damaged record counts as none: one task's broken file must not keep the daemon, and with it
/// every other task, from being looked after.
fn sound<T>(task: TaskId, read: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match read {
        Err(error)
            if error.kind() == io::ErrorKind::InvalidData
                || error.kind() == io::ErrorKind::UnexpectedEof =>
        {
            warn!(%task, %error, "damaged record, treated as missing");
            Ok(None)
        }
        sound => sound,
    }
}

enum AdoptError {
    Read(io::Error),
    Runtime(RuntimeError),
}

impl From<io::Error> for AdoptError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<RuntimeError> for AdoptError {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const RUNS: Found = Found {
        launched: Launched::Known,
        supervised: true,
        supervisor_lives: true,
        exit: None,
    };

    #[test]
    fn a_living_supervisor_means_a_living_task() {
        assert_eq!(judge(RUNS), Verdict::Living);
        let early = Found {
            supervised: false,
            ..RUNS
        };
        assert_eq!(judge(early), Verdict::Living);
    }

    #[test]
    fn an_exit_record_is_believed_whatever_else_is_there() {
        let exit = Exit {
            reason: ExitReason::Code(3),
            oom_killed: false,
            at: UNIX_EPOCH,
        };
        let found = Found {
            exit: Some(exit.clone()),
            ..RUNS
        };
        assert_eq!(judge(found), Verdict::Ended(exit));
    }

    #[test]
    fn a_task_whose_supervisor_is_gone_without_a_record_is_lost() {
        assert_eq!(
            judge(Found {
                supervisor_lives: false,
                ..RUNS
            }),
            Verdict::Lost
        );
    }

    #[test]
    fn a_task_that_never_had_a_supervisor_is_prepared() {
        let found = Found {
            supervisor_lives: false,
            supervised: false,
            ..RUNS
        };
        assert_eq!(judge(found), Verdict::Prepared);
    }

    #[test]
    fn a_directory_without_a_launch_is_discarded() {
        let found = Found {
            launched: Launched::Never,
            supervisor_lives: false,
            ..RUNS
        };
        assert_eq!(judge(found), Verdict::Discard);
    }

    #[test]
    fn of_a_task_whose_order_was_lost_in_a_reboot_the_end_is_known_still() {
        let found = Found {
            launched: Launched::Forgotten,
            supervisor_lives: false,
            ..RUNS
        };
        assert_eq!(judge(found.clone()), Verdict::Lost);
        let never_ran = Found {
            supervised: false,
            ..found
        };
        assert_eq!(judge(never_ran), Verdict::Discard);
    }
}
