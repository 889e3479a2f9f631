//! Processes of this machine: which belong to a host, and their end by id.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Deserialize;
use serde::Serialize;

use crate::cgroup;
use crate::error::RigError;
use crate::layout::MARKER;
use crate::poll;

/// How long killed processes may take to disappear: the kernel tears down namespaces first.
const DEATH: Duration = Duration::from_secs(20);

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of /proc/PID/stat).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now; `None` when there is none, or only its corpse.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&stat)?;
        (!stat.dead).then_some(Self {
            pid,
            started: stat.started,
        })
    }

    /// This very process.
    pub fn current() -> Option<Self> {
        Self::of(Pid::this().as_raw())
    }

    /// Whether it still runs. A corpse nobody collected does not.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal; a process that is gone needs none.
    ///
    /// # Errors
    /// [`RigError::Signal`] when it may not be signalled.
    pub fn signal(&self, signal: Signal) -> Result<(), RigError> {
        if !self.is_alive() {
            return Ok(());
        }
        match nix::sys::signal::kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(RigError::Signal {
                signal: signal.as_str(),
                pid: self.pid,
                source: io::Error::from(errno),
            }),
        }
    }
}

/// What decides whether a process belongs to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Who it is.
    pub id: ProcessId,
    /// Its parent's number.
    pub parent: i32,
    /// Number of its network namespace.
    pub netns: Option<u64>,
    /// Value of its [`MARKER`] variable.
    pub marker: Option<String>,
    /// Command line.
    pub args: Vec<String>,
    /// Paths of its cgroups, within their hierarchies.
    pub cgroups: Vec<String>,
}

/// What a host, or a whole rig, owns.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// Beginning of the marker's value: `tag/` or `tag/host`.
    pub marker: String,
    /// Network namespaces: the hosts' own and those their daemons made for tasks.
    pub netns: BTreeSet<u64>,
    /// Names (or `tag`s, see [`cgroup::is_of`]) of cgroups.
    pub cgroup_tag: String,
    /// State directories of daemons.
    pub state_dirs: Vec<PathBuf>,
}

impl Owner {
    fn owns(&self, process: &ProcessInfo) -> bool {
        let marked = process
            .marker
            .as_ref()
            .is_some_and(|m| is_marked(m, &self.marker));
        let inside = process.netns.is_some_and(|ns| self.netns.contains(&ns));
        let grouped = process.cgroups.iter().any(|path| {
            path.split('/')
                .any(|name| cgroup::is_of(name, &self.cgroup_tag))
        });
        marked || inside || grouped || self.works_in_state_dir(process)
    }

    /// A `weft` program (a task's shim, say) that was given a state directory of ours. Others
    /// may well name it: `tail -f`, an editor.
    fn works_in_state_dir(&self, process: &ProcessInfo) -> bool {
        let Some((program, args)) = process.args.split_first() else {
            return false;
        };
        let program = Path::new(program)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let ours = |arg: &String| {
            self.state_dirs
                .iter()
                .any(|dir| Path::new(arg).starts_with(dir))
        };
        program.starts_with("weft") && args.iter().any(ours)
    }
}

fn is_marked(value: &str, prefix: &str) -> bool {
    let rest = value.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with('/'))
}

/// The processes of `owner` and all their descendants, without `myself`. Pure.
pub fn select(all: &[ProcessInfo], owner: &Owner, myself: i32) -> Vec<ProcessInfo> {
    let mut chosen: BTreeSet<i32> = all
        .iter()
        .filter(|process| owner.owns(process))
        .map(|process| process.id.pid)
        .collect();
    chosen.remove(&myself);
    loop {
        let children = all
            .iter()
            .filter(|p| chosen.contains(&p.parent) && p.id.pid != myself);
        let grown: BTreeSet<i32> = chosen
            .iter()
            .copied()
            .chain(children.map(|p| p.id.pid))
            .collect();
        if grown.len() == chosen.len() {
            break;
        }
        chosen = grown;
    }
    all.iter()
        .filter(|process| chosen.contains(&process.id.pid))
        .cloned()
        .collect()
}

/// All living processes of this machine.
///
/// # Errors
/// When /proc cannot be read.
pub fn scan() -> io::Result<Vec<ProcessInfo>> {
    let pids = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    Ok(pids.filter_map(look).collect())
}

/// The living processes of `owner`.
///
/// # Errors
/// [`RigError::File`] when /proc cannot be read.
pub fn owned(owner: &Owner) -> Result<Vec<ProcessInfo>, RigError> {
    let all = scan().map_err(|source| RigError::File {
        op: "list",
        path: PathBuf::from("/proc"),
        source,
    })?;
    Ok(select(&all, owner, Pid::this().as_raw()))
}

/// Kills all processes of `owner` and waits until the last is gone. Returns the cgroups they
/// were in. Goes round until nothing is found, since a parent may fork while it is looked at.
///
/// # Errors
/// [`RigError::StillRunning`] with what did not die.
pub fn kill_owned(
    owner: &Owner,
    what: &str,
    mut reap: impl FnMut(),
) -> Result<BTreeSet<String>, RigError> {
    let mut cgroups = BTreeSet::new();
    let mut left = Vec::new();
    let gone = poll::until(DEATH, || {
        reap();
        left = match owned(owner) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        for process in &left {
            cgroups.extend(process.cgroups.iter().cloned());
            if let Err(error) = process.id.signal(Signal::SIGKILL) {
                return Some(Err(error));
            }
        }
        left.is_empty().then_some(Ok(()))
    });
    match gone {
        Some(Ok(())) => Ok(cgroups),
        Some(Err(error)) => Err(error),
        None => Err(RigError::StillRunning {
            what: what.to_owned(),
            pids: left.iter().map(|process| process.id.pid).collect(),
            limit: DEATH,
        }),
    }
}

/// Reads one process; `None` when it is gone, dying, or a kernel thread.
fn look(pid: i32) -> Option<ProcessInfo> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let stat = Stat::parse(&fs::read_to_string(dir.join("stat")).ok()?)?;
    if stat.dead {
        return None;
    }
    let id = ProcessId {
        pid,
        started: stat.started,
    };
    let netns = fs::metadata(dir.join("ns/net")).ok().map(|meta| meta.ino());
    let strings = |file: &str| -> Vec<String> {
        let bytes = fs::read(dir.join(file)).unwrap_or_default();
        let parts = bytes
            .split(|&byte| byte == 0)
            .filter(|part| !part.is_empty());
        parts
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    };
    let marker = strings("environ")
        .iter()
        .find_map(|entry| Some(entry.strip_prefix(MARKER)?.strip_prefix('=')?.to_owned()));
    let cgroups = fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
    let cgroups = cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .map(str::to_owned);
    let (args, cgroups) = (strings("cmdline"), cgroups.collect());
    Some(ProcessInfo {
        id,
        parent: stat.parent,
        netns,
        marker,
        args,
        cgroups,
    })
}

/// The fields of /proc/PID/stat that matter here.
struct Stat {
    dead: bool,
    parent: i32,
    started: u64,
}

impl Stat {
    /// The program's name stands in parentheses and may hold anything, also `) `; so fields are
    /// counted from the last one.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text
            .get(text.rfind(')')? + 1..)?
            .split_whitespace()
            .collect();
        // A corpse with threads left is none yet: they end when what they do in the kernel does,
        // and until then they hold its files and locks.
        let threads: u32 = fields.get(17)?.parse().ok()?;
        let dead = matches!(*fields.first()?, "Z" | "X" | "x") && threads <= 1;
        Some(Self {
            dead,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
