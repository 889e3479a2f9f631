//! Runs one more command in a task that runs: as its own command runs, in its control group and
//! namespaces, and with its rights.

use super::account;
use super::command;
use super::init::environment;
use super::privileges;
use super::setup_error::SetupError;
use super::setup_error::step;
use crate::runtime::cgroup::Group;
use crate::runtime::pidfd::Process;
use crate::runtime::task_dir::TaskDir;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// What a command that could not be run ends with, as `docker exec` does.
const NOT_RUN: u8 = 126;
/// What a command that took too long ends with, as `timeout` does.
const TOO_LONG: u8 = 124;
/// How often is looked whether the command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `command` in the task of `dir`, for at most so many milliseconds, and ends with its code.
pub(super) fn run(dir: &TaskDir, millis: &str, command: &[OsString]) -> ExitCode {
    let timeout = Duration::from_millis(millis.parse().unwrap_or_default());
    match execute(dir, timeout, command) {
        Ok(Some(status)) => ExitCode::from(code(status)),
        Ok(None) => {
            eprintln!("it took longer than {timeout:?}");
            ExitCode::from(TOO_LONG)
        }
        Err(error) => {
            eprintln!("{}", error.message());
            ExitCode::from(NOT_RUN)
        }
    }
}

/// The code a shell would report.
fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

fn execute(
    dir: &TaskDir,
    timeout: Duration,
    words: &[OsString],
) -> Result<Option<ExitStatus>, SetupError> {
    let not_running = || io::Error::from(io::ErrorKind::NotFound);
    let record = dir
        .launch()
        .and_then(|record| record.ok_or_else(not_running));
    let record = record.map_err(step("cannot read the launch record"))?;
    let launch = record.launch;
    let running = dir
        .running()
        .and_then(|record| record.ok_or_else(not_running));
    let running = running.map_err(step("the task does not run"))?;
    // By this it is certainly the task's process, and no other that got its number.
    let process = Process::reopen(running.process).and_then(|found| found.ok_or_else(not_running));
    let process = process.map_err(step("the task does not run"))?;

    record.cgroups.join(Group::Task(launch.id))?;
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    nix::sched::setns(process.fd(), all).map_err(step("cannot enter the task"))?;
    let account = account::find(launch.user.as_deref())?;
    privileges::drop_to(&account)?;
    let cwd = &launch.working_dir;
    nix::unistd::chdir(cwd).map_err(step(format!("working directory {}", cwd.display())))?;

    let env = environment(&launch, &account.home);
    let name = words
        .first()
        .map(|word| word.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let program = command::find(&name, env.get("PATH").map_or("", String::as_str))?;
    let child = Command::new(&program)
        .arg0(&name)
        .args(words.iter().skip(1))
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        // All that it begins can be ended with it.
        .process_group(0)
        .spawn();
    let child = child.map_err(step(format!("cannot execute {}", program.display())))?;
    wait(child, timeout).map_err(step("cannot wait for the command"))
}

fn wait(mut child: Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
            // It may have ended just now.
            let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}
