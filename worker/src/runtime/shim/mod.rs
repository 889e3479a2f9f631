//! The two programs behind a task: its supervisor and what becomes its first process.
//!
//! Both are hidden subcommands of the daemon's own binary, so that one file is all there is to
//! install, and both find all they need in the task's directory.

mod account;
mod command;
mod devices;
mod files;
mod init;
mod privileges;
mod rootfs;
mod setup_error;
mod supervisor;

use crate::runtime::task_dir::TaskDir;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

/// Name of the subcommand that supervises one task.
pub const SHIM: &str = "shim";

/// Name of the subcommand that becomes a task's first process.
pub const TASK_INIT: &str = "task-init";

/// Where the time comes from; chosen by the program's edge.
pub type Clock = fn() -> SystemTime;

/// Runs `shim <task directory>` or `task-init <task directory>`. The second returns only if the
/// task's command could not be executed.
pub fn main(mut args: impl Iterator<Item = OsString>, now: Clock) -> ExitCode {
    let (Some(verb), Some(dir), None) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: {SHIM}|{TASK_INIT} TASK_DIRECTORY (started by the daemon, not by hand)");
        return ExitCode::from(2);
    };
    let dir = TaskDir::at(PathBuf::from(dir));
    match verb.to_str() {
        Some(SHIM) => supervisor::run(&dir, now),
        Some(TASK_INIT) => init::run(&dir),
        Some(_) | None => {
            eprintln!("unknown subcommand {}", verb.display());
            ExitCode::from(2)
        }
    }
}
