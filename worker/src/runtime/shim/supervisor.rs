//! Supervises one task: starts it in new namespaces, keeps its output, records its end.

use super::Clock;
use super::TASK_INIT;
use super::setup_error::SetupError;
use super::setup_error::step;
use crate::runtime::Exit;
use crate::runtime::ExitReason;
use crate::runtime::LogStream;
use crate::runtime::TaskLaunch;
use crate::runtime::cgroup::Group;
use crate::runtime::file;
use crate::runtime::log::LogWriter;
use crate::runtime::pidfd::start_ticks;
use crate::runtime::task_dir::LaunchRecord;
use crate::runtime::task_dir::ProcessRecord;
use crate::runtime::task_dir::RunningRecord;
use crate::runtime::task_dir::TaskDir;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::PidfdFlags;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::thread;
use zeroize::Zeroizing;

/// Read from a task's pipe at once, in bytes: the size of a pipe.
const READ_BYTES: usize = 64 << 10;

/// Supervises until the task ended. A failure to do even that goes to standard error, which the
/// daemon keeps in the task's directory.
pub(super) fn run(dir: &TaskDir, now: Clock) -> ExitCode {
    match supervise(dir, now) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supervisor: {}", error.message());
            ExitCode::FAILURE
        }
    }
}

fn supervise(dir: &TaskDir, now: Clock) -> Result<(), SetupError> {
    detach()?;
    let lock = dir.open_lock().map_err(step("cannot open the lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()), // another supervisor is at work
        Err(TryLockError::Error(error)) => return Err(step("cannot take the lock")(error)),
    }
    let done = dir.exit().map_err(step("cannot read the exit record"))?;
    let order = dir
        .launch()
        .map_err(step("cannot read the launch record"))?;
    let (None, Some(order)) = (done, order) else {
        return Ok(());
    };
    order.cgroups.join(Group::Supervisors)?;
    // Without its supervisor a task is lost, so the kernel shall take others first. Best effort:
    // in a container this may be forbidden.
    let _ = fs::write("/proc/self/oom_score_adj", "-999");
    let pid = std::process::id();
    let ticks = start_ticks(pid).map_err(step("cannot read the own start time"))?;
    let own = ProcessRecord {
        pid,
        start_ticks: ticks.unwrap_or(0),
    };
    dir.write_shim(&own)
        .map_err(step("cannot write the supervisor's record"))?;

    let ran = files(order.files).and_then(|files| run_task(dir, &order, files, now));
    let reason = match ran {
        Ok(reason) => reason,
        Err(error) => ExitReason::NotStarted(error.message()),
    };
    let group = Group::Task(order.launch.id);
    let failed = reason != ExitReason::Code(0);
    let exit = Exit {
        reason,
        oom_killed: failed && order.cgroups.oom_kills(group).is_ok_and(|kills| kills > 0),
        at: now(),
    };
    dir.write_exit(&exit)
        .map_err(step("cannot write the exit record"))
}

/// Leaves the daemon's session, and stays when the daemon or its terminal goes.
fn detach() -> Result<(), SetupError> {
    match nix::unistd::setsid() {
        // EPERM: already first in its session.
        Ok(_) | Err(nix::errno::Errno::EPERM) => {}
        Err(error) => return Err(step("cannot start a session")(error)),
    }
    let mut blocked = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        blocked.add(signal);
    }
    blocked.thread_block().map_err(step("cannot block signals"))
}

/// The task's secrets and configs, as the daemon sends them. One that ended before it had sent all of
/// them must not make a task run without.
fn files(wanted: usize) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let received = match wanted {
        0 => file::encode(&[]),
        _ => file::receive(&mut io::stdin().lock()),
    };
    received.map_err(step(
        "the daemon sent not all of the task's secrets and configs",
    ))
}

fn run_task(
    dir: &TaskDir,
    order: &LaunchRecord,
    files: Zeroizing<Vec<u8>>,
    now: Clock,
) -> Result<ExitReason, SetupError> {
    let pipe = || io::pipe().map_err(step("cannot make a pipe"));
    let mut log = LogWriter::open(dir.path()).map_err(step("cannot open the log"))?;
    // Files go down it, and up comes what hinders the task.
    let pair = UnixStream::pair().map_err(step("cannot make a socket pair"));
    let (mut status, status_end) = pair?;
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let status_end = OwnedFd::from(status_end);
    let ends = (status_end, [stdout_end, stderr_end]);
    // A thread of its own, because namespaces belong to threads: this one stays on the host.
    let launched = thread::scope(|scope| scope.spawn(|| launch(dir, &order.launch, ends)).join());
    let mut child = match launched {
        Ok(child) => child?,
        Err(_) => {
            return Err(step("the launching thread failed")(io::Error::other(
                "panic",
            )));
        }
    };

    let sent = status.write_all(&files);
    drop(files);
    match sent.and_then(|()| status.shutdown(Shutdown::Write)) {
        // It has ended, and says itself why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent.map_err(step("cannot send the task's secrets and configs"))?,
    }

    // Closed by a successful exec; whatever arrives before is the reason why there was none.
    let mut failure = String::new();
    status
        .read_to_string(&mut failure)
        .map_err(step("cannot read the task's setup"))?;
    if failure.is_empty() {
        let ticks = start_ticks(child.id()).map_err(step("cannot read the start time"))?;
        // A command that is over already needs no record that it runs.
        if let Some(start_ticks) = ticks {
            let process = ProcessRecord {
                pid: child.id(),
                start_ticks,
            };
            let record = RunningRecord {
                process,
                started_at: now(),
            };
            dir.write_running(&record)
                .map_err(step("cannot write the running record"))?;
        }
    }
    let exit = keep_output(&mut child, &mut log, [stdout, stderr], now)
        .map_err(step("cannot watch the task"))?;
    if failure.is_empty() {
        Ok(reason(exit))
    } else {
        Ok(ExitReason::NotStarted(failure))
    }
}

/// Starts the first process of the task in its namespaces.
fn launch(
    dir: &TaskDir,
    launch: &TaskLaunch,
    ends: (OwnedFd, [PipeWriter; 2]),
) -> Result<Child, SetupError> {
    if let Some(path) = &launch.netns {
        let what = || format!("cannot enter the network namespace {}", path.display());
        let netns = File::open(path).map_err(step(what()))?;
        nix::sched::setns(netns, CloneFlags::CLONE_NEWNET).map_err(step(what()))?;
    }
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    nix::sched::unshare(namespaces).map_err(step("cannot make namespaces"))?;
    // Blocked signals are inherited; the task shall hear all of them.
    SigSet::empty()
        .thread_set_mask()
        .map_err(step("cannot unblock signals"))?;
    let (status, [stdout, stderr]) = ends;
    // By this link, not by path: it is this very program, also after an upgrade replaced the
    // file. The status socket goes as standard input, the only way without raw descriptors.
    Command::new("/proc/self/exe")
        .arg0("weft")
        .arg(TASK_INIT)
        .arg(dir.path())
        .env_clear()
        .stdin(status)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(step("cannot start the task's first process"))
}

/// Writes output to the log until the task is over. With its first process everything in the
/// process namespace ends, so what is in the pipes then is all there will be.
fn keep_output(
    child: &mut Child,
    log: &mut LogWriter,
    pipes: [PipeReader; 2],
    now: Clock,
) -> io::Result<ExitStatus> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("impossible process number"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let [stdout, stderr] = pipes;
    let mut open = vec![(LogStream::Stdout, stdout), (LogStream::Stderr, stderr)];
    for (_, pipe) in &open {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let mut ended = false;
    while !ended {
        let mut polled = vec![PollFd::new(&pidfd, PollFlags::IN)];
        polled.extend(
            open.iter()
                .map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN)),
        );
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ended = !polled[0].revents().is_empty();
        drop(polled);
        open.retain_mut(|(stream, pipe)| copy(pipe, *stream, log, now, ended));
    }
    for stream in [LogStream::Stdout, LogStream::Stderr] {
        report(log.finish(stream, now()));
    }
    child.wait()
}

/// Copies what is there; all of it at the end, else so much that the other stream is not kept
/// waiting. False at the end of the stream.
fn copy(
    pipe: &mut PipeReader,
    stream: LogStream,
    log: &mut LogWriter,
    now: Clock,
    all: bool,
) -> bool {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => report(log.write(stream, now(), &buffer[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        if !all {
            return true;
        }
    }
}

/// A full disk costs the output, never the task: it must not block on its pipes.
fn report(written: io::Result<()>) {
    if let Err(error) = written {
        eprintln!("supervisor: output lost: {error}");
    }
}

fn reason(status: ExitStatus) -> ExitReason {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitReason::Code(code),
        (None, Some(signal)) => ExitReason::Signal(signal),
        (None, None) => ExitReason::Lost(format!("unknown wait status {status}")),
    }
}
