//! Becomes the first process of a task: builds its world, drops its powers, runs its command.

use super::account;
use super::command;
use super::files;
use super::privileges;
use super::rootfs;
use super::setup_error::SetupError;
use super::setup_error::step;
use crate::runtime::TaskFile;
use crate::runtime::TaskLaunch;
use crate::runtime::cgroup::Group;
use crate::runtime::file;
use crate::runtime::task_dir::TaskDir;
use nix::sched::CloneFlags;
use nix::sys::resource::Resource;
use nix::sys::stat::Mode;
use nix::unistd::Gid;
use nix::unistd::Uid;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

/// `PATH` of a task that brings none; the same as a root login's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Soft limit of open files: enough for a server, small enough that programs which walk through
/// all possible descriptors stay quick. The hard limit is the daemon's.
const OPEN_FILES: u64 = 65_536;

/// Returns only if the command was not executed; why goes to the supervisor over standard input,
/// which a successful exec closes.
pub(super) fn run(dir: &TaskDir) -> ExitCode {
    // The copy is closed by exec; the original is replaced there by /dev/null.
    let status = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let files = status
        .as_ref()
        .map_err(|error| io::Error::from(error.kind()))
        .and_then(|mut status| file::receive(&mut status))
        .and_then(|bytes| file::decode(&bytes))
        .map_err(step("cannot receive the task's secrets and configs"));
    let Err(error) = files.and_then(|files| execute(dir, files));
    let message = error.message();
    if status
        .and_then(|mut status| status.write_all(message.as_bytes()))
        .is_err()
    {
        eprintln!("weft: {message}");
    }
    ExitCode::FAILURE
}

fn execute(dir: &TaskDir, files: Vec<TaskFile>) -> Result<Infallible, SetupError> {
    let record = dir
        .launch()
        .map_err(step("cannot read the launch record"))?;
    let record = record
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .map_err(step("there is no launch record"))?;
    let launch = record.launch;
    // First of all, so that everything from here on counts against the task's own limits.
    record.cgroups.join(Group::Task(launch.id))?;
    let _ = fs::write("/proc/self/oom_score_adj", "0"); // the supervisor's does not suit a task
    nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
        .map_err(step("cannot make a control group namespace"))?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    rootfs::enter(dir, &launch)?;
    files::give(&files)?;
    drop(files);
    nix::unistd::sethostname(&launch.hostname).map_err(step("cannot set the host name"))?;
    limit_resources()?;

    let account = account::find(launch.user.as_deref())?;
    for pipe in [io::stdout().as_fd(), io::stderr().as_fd()] {
        // So that a task that is not root can open /dev/stdout.
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        nix::unistd::fchown(pipe, Some(uid), Some(gid)).map_err(step("cannot give away output"))?;
    }
    privileges::drop_to(&account)?;

    let cwd = &launch.working_dir;
    nix::unistd::chdir(cwd).map_err(step(format!("working directory {}", cwd.display())))?;
    let env = environment(&launch, &account.home);
    run_command(&launch, &env)
}

fn run_command(
    launch: &TaskLaunch,
    env: &BTreeMap<String, String>,
) -> Result<Infallible, SetupError> {
    let name = launch.command.first().map_or("", String::as_str);
    let path = env.get("PATH").map_or("", String::as_str);
    let program = command::find(name, path)?;
    let error = Command::new(&program)
        .arg0(name)
        .args(launch.command.iter().skip(1))
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .exec();
    if error.kind() == io::ErrorKind::NotFound {
        // The file is there, or it would not have been found.
        return Err(SetupError::NoInterpreter(name.to_owned()));
    }
    Err(step(format!("cannot execute {}", program.display()))(error))
}

/// The task's variables and those every program expects.
pub(super) fn environment(launch: &TaskLaunch, home: &str) -> BTreeMap<String, String> {
    let defaults = [
        ("PATH", DEFAULT_PATH),
        ("HOME", home),
        ("HOSTNAME", &launch.hostname),
    ];
    let mut env = launch.env.clone();
    for (name, value) in defaults {
        env.entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    env
}

fn limit_resources() -> Result<(), SetupError> {
    let failed = "cannot set resource limits";
    let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE).map_err(step(failed))?;
    nix::sys::resource::setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.min(hard), hard)
        .map_err(step(failed))?;
    // A core file would fill the task's memory.
    let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).map_err(step(failed))?;
    nix::sys::resource::setrlimit(Resource::RLIMIT_CORE, 0, hard).map_err(step(failed))
}
