//! Programs run inside a task: in the namespaces of one of its processes.

use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Child;
use std::process::Command;
use std::thread;

use nix::sched::CloneFlags;

use crate::error::RigError;

/// Namespaces a program enters, in this order: the mount namespace last, since afterwards
/// /proc may be another one. Not the user namespace: tasks have none of their own.
const KINDS: [(&str, CloneFlags); 6] = [
    ("net", CloneFlags::CLONE_NEWNET),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// Starts `command` in all namespaces of process `pid`; the caller stays where it is. The
/// program is searched in the task's file system.
///
/// # Errors
/// [`RigError::Enter`] names the namespace, [`RigError::Spawn`] the program.
pub fn spawn(pid: i32, command: &mut Command) -> Result<Child, RigError> {
    let mut spaces = Vec::new();
    for (kind, flag) in KINDS {
        let path = format!("/proc/{pid}/ns/{kind}");
        let fail = |source| RigError::Enter { kind, pid, source };
        let theirs = fs::metadata(&path).map_err(fail)?.ino();
        let ours = fs::metadata(format!("/proc/self/ns/{kind}"))
            .map_err(fail)?
            .ino();
        if theirs != ours {
            spaces.push((kind, flag, File::open(&path).map_err(fail)?));
        }
    }
    let spawned = in_thread(|| {
        // Threads share their root directory; who enters another mount namespace must not.
        if let Err(errno) = nix::sched::unshare(CloneFlags::CLONE_FS) {
            return Ok(Err(RigError::Enter {
                kind: "mnt",
                pid,
                source: errno.into(),
            }));
        }
        for (kind, flag, space) in &spaces {
            if let Err(errno) = nix::sched::setns(space.as_fd(), *flag) {
                return Ok(Err(RigError::Enter {
                    kind,
                    pid,
                    source: errno.into(),
                }));
            }
        }
        Ok(command.spawn().map_err(|source| RigError::Spawn {
            program: crate::command::line(command),
            host: format!("the task of process {pid}"),
            source,
        }))
    });
    spawned.unwrap_or_else(|source| {
        Err(RigError::Enter {
            kind: "own",
            pid,
            source,
        })
    })
}

/// Runs `work` on a fresh thread and waits for it; a panic in it goes on in the caller.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
