//! Control groups of tasks: one per task, below one base group per node.

mod detect;
mod v1;
mod v2;

pub use v1::CgroupsV1;
pub use v2::CgroupsV2;

use crate::runtime::Limits;
use crate::runtime::pidfd::Process;
use rustix::process::Signal;
use serde::Deserialize;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use weft_proto::TaskId;

/// How long the kernel may take to end killed processes. Tearing down a large address space
/// takes seconds at worst; what lasts longer hangs on a device or a network file system.
pub(crate) const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks at a group that is being killed.
const KILL_INTERVAL: Duration = Duration::from_millis(5);

/// Why control groups cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The name of the base group would lead elsewhere.
    #[error("base group name {0:?} must be one plain file name")]
    BaseName(String),
    /// No usable hierarchy is mounted.
    #[error(
        "no control groups with cpu, memory and pids are mounted; mount cgroup2 on /sys/fs/cgroup"
    )]
    NotMounted,
    /// A limit is wanted that this machine cannot enforce.
    #[error("the {controller} controller is not available, so the limit cannot be enforced")]
    MissingController {
        /// Its name.
        controller: &'static str,
    },
    /// A file or directory of a hierarchy cannot be read or changed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Killed processes that do not end.
    #[error("processes {pids:?} were killed but have not ended")]
    Unkillable {
        /// Their numbers on the host.
        pids: Vec<u32>,
    },
}

/// A group below the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A task's processes.
    Task(TaskId),
    /// The supervisors of all tasks: outside the daemon's own group, so that a service manager
    /// that ends the daemon's group leaves them alone.
    Supervisors,
}

impl Group {
    fn name(&self) -> &str {
        match self {
            Self::Task(task) => task.as_str(),
            Self::Supervisors => "supervisors",
        }
    }
}

/// What both generations of control groups can do.
trait Hierarchy {
    /// Makes a group, or finds it, and sets its limits.
    fn create(&self, group: &str, limits: &Limits) -> Result<(), CgroupError>;
    /// Puts the calling process into a group; its later children start there.
    fn join(&self, group: &str) -> Result<(), CgroupError>;
    /// Host numbers of the processes in a group; empty if there is no such group.
    fn processes(&self, group: &str) -> Result<Vec<u32>, CgroupError>;
    /// How many processes the kernel killed in this group for lack of memory.
    fn oom_kills(&self, group: &str) -> Result<u64, CgroupError>;
    /// Kills every process that is in the group now.
    fn kill(&self, group: &str) -> Result<(), CgroupError>;
    /// Removes an empty group; fine if it is gone.
    fn remove(&self, group: &str) -> Result<(), CgroupError>;
    /// Removes the base group if nothing is below it.
    fn remove_base(&self) -> Result<(), CgroupError>;
}

/// The control groups of one node's tasks, of whichever generation this machine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cgroups {
    /// One hierarchy per controller.
    V1(CgroupsV1),
    /// The unified hierarchy.
    V2(CgroupsV2),
}

impl Cgroups {
    /// Finds out what this machine has and names the base group, such as `weft-3f2a`: two
    /// daemons on one machine need two names.
    pub fn detect(base: &str) -> Result<Self, CgroupError> {
        let plain = !base.is_empty() && !base.starts_with('.') && !base.contains(['/', '\0']);
        if !plain {
            return Err(CgroupError::BaseName(base.to_owned()));
        }
        let path = Path::new("/proc/self/mountinfo");
        let mountinfo = fs::read_to_string(path).map_err(io_error("read", path))?;
        detect::choose(&detect::parse(&mountinfo), base)
    }

    fn hierarchy(&self) -> &dyn Hierarchy {
        match self {
            Self::V1(v1) => v1,
            Self::V2(v2) => v2,
        }
    }

    /// Makes a group, or finds it, and sets its limits.
    pub fn create(&self, group: Group, limits: &Limits) -> Result<(), CgroupError> {
        self.hierarchy().create(group.name(), limits)
    }

    /// Puts the calling process into a group.
    pub fn join(&self, group: Group) -> Result<(), CgroupError> {
        self.hierarchy().join(group.name())
    }

    /// How many processes of a group were killed for lack of memory.
    pub fn oom_kills(&self, group: Group) -> Result<u64, CgroupError> {
        self.hierarchy().oom_kills(group.name())
    }

    /// Kills everything in a group and returns when it is empty. Blocks up to 10 s.
    pub fn kill_all(&self, group: Group) -> Result<(), CgroupError> {
        let rounds = KILL_DEADLINE.as_millis() / KILL_INTERVAL.as_millis();
        for _ in 0..rounds {
            if self.hierarchy().processes(group.name())?.is_empty() {
                return Ok(());
            }
            self.hierarchy().kill(group.name())?;
            std::thread::sleep(KILL_INTERVAL);
        }
        match self.hierarchy().processes(group.name())? {
            pids if pids.is_empty() => Ok(()),
            pids => Err(CgroupError::Unkillable { pids }),
        }
    }

    /// Kills everything in a group and removes it.
    pub fn remove(&self, group: Group) -> Result<(), CgroupError> {
        self.kill_all(group)?;
        self.hierarchy().remove(group.name())
    }

    /// Removes the supervisors' group and the base; for a node that leaves. Fails while there
    /// are tasks.
    pub fn remove_base(&self) -> Result<(), CgroupError> {
        self.hierarchy().remove(Group::Supervisors.name())?;
        self.hierarchy().remove_base()
    }
}

/// Kills the processes a reader lists. Each is held by handle and must still be listed then, so
/// a number given to another process in between does no harm.
fn kill_listed(list: impl Fn() -> Result<Vec<u32>, CgroupError>) -> Result<(), CgroupError> {
    let mut held = Vec::new();
    for pid in list()? {
        let process = Process::open(pid).map_err(io_error("open process", &proc_path(pid)))?;
        held.extend(process.map(|process| (pid, process)));
    }
    let listed = list()?;
    for (pid, process) in held.iter().filter(|(pid, _)| listed.contains(pid)) {
        process
            .signal(Signal::KILL)
            .map_err(io_error("kill process", &proc_path(*pid)))?;
    }
    Ok(())
}

fn proc_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    move |source| CgroupError::Io {
        operation,
        path,
        source,
    }
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    // Opened without truncating or creating: these are switches, not files.
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(io_error("write", path))
}

fn read_processes(dir: &Path) -> Result<Vec<u32>, CgroupError> {
    let path = dir.join("cgroup.procs");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(io_error("read", &path)(error)),
    }
}

/// The value of `key` in a file of `key value` lines; 0 where it is missing.
fn read_counter(path: &Path, key: &str) -> Result<u64, CgroupError> {
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0))
}

fn make_dir(dir: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_error("create", dir)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a group's directory. Its last process may still be on its way out, so a busy one is
/// tried again for a moment.
fn remove_dir(dir: &Path) -> Result<(), CgroupError> {
    let mut rounds = KILL_DEADLINE.as_millis() / KILL_INTERVAL.as_millis();
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && rounds > 0 => {
                rounds -= 1;
                std::thread::sleep(KILL_INTERVAL);
            }
            Err(error) => return Err(io_error("remove", dir)(error)),
        }
    }
}

/// A group removed while its files are read answers ENODEV.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

/// Length of a scheduling period in microseconds: the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// Smallest quota the kernel takes, in microseconds.
const CPU_QUOTA_MIN_US: u64 = 1_000;

/// Processor time per period, in microseconds.
fn cpu_quota_us(cpu: crate::runtime::NanoCpus) -> u64 {
    (cpu.0 / (1_000_000_000 / CPU_PERIOD_US)).max(CPU_QUOTA_MIN_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::NanoCpus;

    #[test]
    fn half_a_processor_is_half_a_period() {
        assert_eq!(cpu_quota_us(NanoCpus(500_000_000)), 50_000);
        assert_eq!(cpu_quota_us(NanoCpus(2_500_000_000)), 250_000);
    }

    #[test]
    fn a_tiny_share_is_raised_to_what_the_kernel_takes() {
        assert_eq!(cpu_quota_us(NanoCpus(1)), 1_000);
    }

    #[test]
    fn a_base_name_that_climbs_is_refused() {
        assert!(matches!(
            Cgroups::detect("../x"),
            Err(CgroupError::BaseName(_))
        ));
        assert!(matches!(
            Cgroups::detect(".."),
            Err(CgroupError::BaseName(_))
        ));
    }
}
