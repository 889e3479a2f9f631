//! Starts supervisors and watches them; wakes up only when something happened.

use super::Shared;
use super::adopt::supervisor_lives;
use super::blocking;
use crate::runtime::RuntimeError;
use crate::runtime::TaskObservation;
use crate::runtime::dir_watch::DirWatch;
use crate::runtime::file;
use crate::runtime::pidfd::Process;
use crate::runtime::shim::SHIM;
use crate::runtime::task_dir::TaskDir;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;
use tracing::warn;
use weft_proto::TaskId;

/// How often an adopted supervisor is asked who it is, in the moment before it has written that.
const IDENTITY_INTERVAL: Duration = Duration::from_millis(50);

/// Starts the supervisor of a task.
pub(super) fn spawn(shared: &Shared, task: TaskId) -> Result<Process, RuntimeError> {
    let program = &shared.config.shim_program;
    let dir = shared.registry.dir(task)?;
    let files = shared.registry.take_files(task);
    let spawned = || -> io::Result<Process> {
        let stderr = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(dir.shim_stderr())?;
        let stdin = match files.is_empty() {
            true => Stdio::null(),
            false => Stdio::piped(),
        };
        let mut child = Command::new(program)
            .arg0("weft")
            .arg(SHIM)
            .arg(dir.path())
            .env_clear()
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()?;
        // Not reaped yet, so the number is certainly still the child's.
        let shim = Process::open(child.id())?;
        let shim = shim.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        if let Some(mut pipe) = child.stdin.take() {
            match pipe.write_all(&file::encode(&files)?) {
                // It has ended, and says itself why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written?,
            }
        }
        Ok(shim)
    };
    spawned().map_err(|source| RuntimeError::Supervisor {
        task,
        program: program.clone(),
        source,
    })
}

/// Watches a supervisor this daemon started.
pub(super) async fn started(shared: Arc<Shared>, task: TaskId, shim: Process) {
    let dir = shared.task_dir(task);
    let watched = async {
        let watch = DirWatch::new(dir.path())?;
        follow(&shared, task, &dir, &watch, shim).await
    };
    conclude(&shared, task, watched.await).await;
}

/// Watches a supervisor an earlier daemon started.
pub(super) async fn adopted(shared: Arc<Shared>, task: TaskId) {
    let dir = shared.task_dir(task);
    let watched = async {
        let watch = DirWatch::new(dir.path())?;
        match identify(&dir, &watch).await? {
            Some(shim) => follow(&shared, task, &dir, &watch, shim).await,
            None => Ok(()),
        }
    };
    conclude(&shared, task, watched.await).await;
}

/// The living supervisor of a task; none if it ended.
async fn identify(dir: &TaskDir, watch: &DirWatch) -> io::Result<Option<Process>> {
    loop {
        if let Some(record) = dir.shim()? {
            return Process::reopen(record);
        }
        if !supervisor_lives(dir)? {
            return Ok(None);
        }
        // Elapsing is no failure: the lock is to be looked at again.
        let _ = tokio::time::timeout(IDENTITY_INTERVAL, watch.changed()).await;
    }
}

/// Returns when the supervisor has ended.
async fn follow(
    shared: &Shared,
    task: TaskId,
    dir: &TaskDir,
    watch: &DirWatch,
    shim: Process,
) -> io::Result<()> {
    let ended = shim.ended();
    tokio::pin!(ended);
    loop {
        if let Some(running) = dir.running()? {
            let pid = running.process.pid;
            info!(%task, pid, "task runs");
            shared.registry.set(
                task,
                TaskObservation::Running {
                    pid,
                    started_at: running.started_at,
                },
            );
            return ended.await;
        }
        tokio::select! {
            done = &mut ended => return done,
            changed = watch.changed() => changed?,
        }
    }
}

/// Takes note of how a task ended, once its supervisor has.
async fn conclude(shared: &Arc<Shared>, task: TaskId, watched: io::Result<()>) {
    if let Err(error) = watched {
        // Out of descriptors, most likely. Nothing is killed for that: the task goes on, and
        // the next daemon adopts it.
        warn!(%task, %error, "task cannot be watched any more");
        return;
    }
    let worker = Arc::clone(shared);
    let ended = blocking(move || {
        let dir = worker.task_dir(task);
        match dir.exit() {
            Ok(Some(exit)) => Ok(exit),
            Ok(None) | Err(_) => worker.bury(&dir, task),
        }
    });
    match ended.await {
        Ok(exit) => {
            info!(%task, %exit, "task ended");
            shared.registry.set(task, TaskObservation::Exited(exit));
        }
        Err(error) => warn!(%task, %error, "the end of the task cannot be recorded"),
    }
}
