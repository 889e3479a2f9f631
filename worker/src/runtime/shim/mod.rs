//! The two programs behind a task: its supervisor and what becomes its first process.
//!
//! Both are hidden subcommands of the daemon's own binary, so that one file is all there is to
//! install, and both find all they need in the task's directory.

mod account;
mod command;
mod devices;
mod exec;
mod files;
mod init;
mod privileges;
mod rootfs;
mod setup_error;
mod supervisor;

use crate::runtime::task_dir::TaskDir;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

/// Name of the subcommand that supervises one task.
pub const SHIM: &str = "shim";

/// Name of the subcommand that becomes a task's first process.
pub const TASK_INIT: &str = "task-init";

/// Name of the subcommand that runs one more command in a task.
pub const TASK_EXEC: &str = "task-exec";

/// Where the time comes from; chosen by the program's edge.
pub type Clock = fn() -> SystemTime;

/// Runs `shim <task directory>`, `task-init <task directory>` or `task-exec <task directory>
/// <milliseconds> <command>...`. The second returns only if the task's command could not be executed.
pub fn main(mut args: impl Iterator<Item = OsString>, now: Clock) -> ExitCode {
    let (verb, dir) = (args.next(), args.next());
    let rest: Vec<OsString> = args.collect();
    let dir = dir.map(|dir| TaskDir::at(PathBuf::from(dir)));
    match (
        verb.as_deref().and_then(OsStr::to_str),
        dir,
        rest.as_slice(),
    ) {
        (Some(SHIM), Some(dir), []) => supervisor::run(&dir, now),
        (Some(TASK_INIT), Some(dir), []) => init::run(&dir),
        (Some(TASK_EXEC), Some(dir), [millis, command @ ..]) => {
            exec::run(&dir, &millis.to_string_lossy(), command)
        }
        _ => {
            eprintln!(
                "usage: {SHIM}|{TASK_INIT}|{TASK_EXEC} TASK_DIRECTORY (started by the daemon, not by \
                 hand)"
            );
            ExitCode::from(2)
        }
    }
}
