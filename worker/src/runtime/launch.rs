//! What to run, and how to stop it.

use crate::runtime::TaskFile;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use weft_proto::TaskId;

/// Longest host name Linux takes (`__NEW_UTS_LEN`).
const HOSTNAME_MAX: usize = 64;

/// Room for what a task writes outside its volumes, where its memory limit does not say less.
const DEFAULT_SCRATCH_BYTES: u64 = 1 << 30;

/// A thousand-millionth of one processor: 500,000,000 is half a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NanoCpus(pub u64);

/// What a task may use. Absent means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processor time.
    pub cpu: Option<NanoCpus>,
    /// Memory in bytes, including files the task writes outside its volumes. Swap is not given.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl Limits {
    /// Size of the memory file system that takes the task's writes, in bytes.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        self.memory_bytes.map_or(DEFAULT_SCRATCH_BYTES, |memory| {
            memory.min(DEFAULT_SCRATCH_BYTES)
        })
    }
}

/// A file or directory of the host, shown inside the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is on the host; must exist. Who may name which source is decided by the caller:
    /// a source below a hidden directory is shown, since that is where volumes are kept.
    pub source: PathBuf,
    /// Where the task sees it. Missing directories on the way are made.
    pub target: PathBuf,
    /// Whether the task may only read it.
    pub read_only: bool,
}

/// Everything needed to run a task; complete in itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLaunch {
    /// Which task this is.
    pub id: TaskId,
    /// The host name the task sees.
    pub hostname: String,
    /// Program and arguments. The program is looked up in the task's `PATH`.
    pub command: Vec<String>,
    /// The whole environment. `PATH`, `HOME` and `HOSTNAME` are filled in where missing.
    pub env: BTreeMap<String, String>,
    /// Where the command starts, inside the task; must exist.
    pub working_dir: PathBuf,
    /// `user`, `uid`, `user:group` or `uid:gid`, looked up inside the task; absent means root.
    pub user: Option<String>,
    /// Limits of the control group.
    pub limits: Limits,
    /// A network namespace, bound to this path by whoever made it. Absent means the host's own.
    pub netns: Option<PathBuf>,
    /// Text of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Text of `/etc/hosts`.
    pub hosts: String,
    /// Host directories the task must not see: the node's keys, state and sockets.
    pub hidden_dirs: Vec<PathBuf>,
    /// Host files and directories the task sees, in the order they are mounted.
    pub mounts: Vec<Bind>,
    /// Secrets and configs. In memory only: no record of a launch has them, and whoever prepares a
    /// task again brings them again.
    #[serde(skip)]
    pub files: Vec<TaskFile>,
}

impl TaskLaunch {
    /// A launch with nothing but a command: no limits, no mounts, the host's network.
    pub fn new(id: TaskId, command: Vec<String>) -> Self {
        Self {
            id,
            hostname: id.short().to_owned(),
            command,
            env: BTreeMap::new(),
            working_dir: PathBuf::from("/"),
            user: None,
            limits: Limits::default(),
            netns: None,
            resolv_conf: String::new(),
            hosts: "127.0.0.1 localhost\n::1 localhost\n".to_owned(),
            hidden_dirs: Vec::new(),
            mounts: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The launch as it is kept.
    #[must_use]
    pub(crate) fn without_files(&self) -> Self {
        Self {
            files: Vec::new(),
            ..self.clone()
        }
    }

    /// Checks everything that can be known without touching the machine.
    pub(crate) fn check(&self) -> Result<(), InvalidLaunch> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(InvalidLaunch::NoCommand);
        }
        if self.hostname.is_empty() || self.hostname.len() > HOSTNAME_MAX {
            return Err(InvalidLaunch::Hostname(self.hostname.clone()));
        }
        for key in self.env.keys() {
            if key.is_empty() || key.contains('=') {
                return Err(InvalidLaunch::EnvName(key.clone()));
            }
        }
        let texts = self
            .command
            .iter()
            .chain(self.env.keys())
            .chain(self.env.values());
        if let Some(text) = texts
            .chain([&self.hostname])
            .find(|text| text.contains('\0'))
        {
            return Err(InvalidLaunch::Nul(text.clone()));
        }
        let sources = self.mounts.iter().map(|bind| &bind.source);
        let targets = self.mounts.iter().map(|bind| &bind.target);
        let files = self.files.iter().map(|file| &file.target);
        let others = self
            .netns
            .iter()
            .chain(&self.hidden_dirs)
            .chain([&self.working_dir]);
        match sources
            .chain(targets)
            .chain(files)
            .chain(others)
            .find(|path| !is_plain(path))
        {
            Some(path) => Err(InvalidLaunch::Path(path.clone())),
            None => Ok(()),
        }
    }
}

/// Absolute and without `..`: such a path means the same wherever it is joined to.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// Why a launch can never work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLaunch {
    /// No program is named.
    #[error("the command is empty")]
    NoCommand,
    /// The host name is empty or too long.
    #[error("host name {0:?} must have 1 to {HOSTNAME_MAX} characters")]
    Hostname(String),
    /// A variable with an impossible name.
    #[error("environment variable name {0:?} is empty or contains '='")]
    EnvName(String),
    /// The kernel ends texts at a NUL.
    #[error("{0:?} contains a NUL character")]
    Nul(String),
    /// A path that is relative or climbs.
    #[error("path {} must be absolute and free of \"..\"", .0.display())]
    Path(PathBuf),
}

/// How to end a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// The number of the signal that asks the task to end; usually 15, SIGTERM.
    pub signal: i32,
    /// How long it may take, before everything in it is killed.
    pub grace: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> TaskLaunch {
        TaskLaunch::new(TaskId::from_entropy(1), vec!["true".to_owned()])
    }

    #[test]
    fn a_plain_launch_is_accepted() {
        assert_eq!(launch().check(), Ok(()));
    }

    #[test]
    fn an_empty_command_is_refused() {
        let launch = TaskLaunch {
            command: vec![],
            ..launch()
        };
        assert_eq!(launch.check(), Err(InvalidLaunch::NoCommand));
    }

    #[test]
    fn a_climbing_mount_target_is_refused() {
        let bind = Bind {
            source: "/srv".into(),
            target: "/data/../../etc".into(),
            read_only: false,
        };
        let launch = TaskLaunch {
            mounts: vec![bind],
            ..launch()
        };
        assert_eq!(
            launch.check(),
            Err(InvalidLaunch::Path("/data/../../etc".into()))
        );
    }

    #[test]
    fn a_nul_in_an_argument_is_refused() {
        let launch = TaskLaunch {
            command: vec!["a\0b".to_owned()],
            ..launch()
        };
        assert_eq!(launch.check(), Err(InvalidLaunch::Nul("a\0b".to_owned())));
    }

    #[test]
    fn scratch_space_never_exceeds_the_memory_limit() {
        let limits = Limits {
            memory_bytes: Some(4096),
            ..Limits::default()
        };
        assert_eq!(limits.scratch_bytes(), 4096);
        assert_eq!(Limits::default().scratch_bytes(), DEFAULT_SCRATCH_BYTES);
    }
}
