//! The `weft daemon` process of one host.

use std::fs;
use std::fs::OpenOptions;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::contract;
use crate::error::RigError;
use crate::host::Host;
use crate::poll;
use crate::process::ProcessId;

/// How long a daemon may take to end after SIGTERM: it hands over leadership and syncs its log.
const STOP: Duration = Duration::from_secs(20);

/// Lines of a daemon's log that messages quote.
const TAIL: usize = 25;

/// What is known about a host's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonState {
    /// Nobody started one, or it was stopped.
    Absent,
    /// It runs.
    Running(ProcessId),
    /// It ended by itself; exit status or signal, as far as this process can know.
    Ended(String),
}

/// The daemon as a child of this process; `None` inside when another process started it.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Option<Child>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects the child's exit status, so that it does not stay as a corpse.
    pub(crate) fn reap(&self) -> Option<String> {
        let ended = self.lock().as_mut()?.try_wait().ok()??;
        Some(ended.to_string())
    }
}

impl Host {
    /// Starts the daemon in this host's namespaces. Returns as soon as the process exists; use
    /// [`Host::wait_ready`] before talking to it.
    ///
    /// # Errors
    /// [`RigError::DaemonRuns`], [`RigError::Spawn`], or a file that could not be made.
    pub fn start_daemon(&self) -> Result<ProcessId, RigError> {
        if let DaemonState::Running(id) = self.daemon() {
            return Err(RigError::DaemonRuns {
                host: self.name().to_owned(),
                pid: id.pid,
            });
        }
        let (state, run) = (self.state_dir(), self.run_dir());
        for dir in [&state, &run] {
            fs::create_dir_all(dir).map_err(file("create", dir))?;
        }
        let log = self.layout().log(self.name());
        let to_log = || OpenOptions::new().create(true).append(true).open(&log);
        let stderr = to_log().map_err(file("open", &log))?;
        let stdout = to_log().map_err(file("open", &log))?;

        let mut command = Command::new(self.weft_path());
        command.args(contract::daemon(&state, &run));
        command.env(
            contract::CGROUP_PARENT_ENV,
            self.layout().cgroup(self.name()),
        );
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        // A group of its own: Ctrl-C at the terminal must not reach a demo that is to stay.
        command.process_group(0);
        let child = self
            .spawn(&mut command)?
            .map_err(|source| RigError::Spawn {
                program: crate::command::line(&command),
                host: self.name().to_owned(),
                source,
            })?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        *self.slot().lock() = Some(child);
        let Some(id) = ProcessId::of(pid) else {
            return Err(self.ended());
        };
        let pid_file = self.layout().pid_file(self.name());
        let text = serde_json::to_vec(&id).map_err(|source| RigError::State {
            path: pid_file.clone(),
            source,
        })?;
        fs::write(&pid_file, text).map_err(file("write", &pid_file))?;
        Ok(id)
    }

    /// Waits until the daemon accepts connections on its socket.
    ///
    /// # Errors
    /// [`RigError::DaemonEnded`] at once when it ended, [`RigError::TimedOut`] after `ceiling`;
    /// both with the end of its log.
    pub fn wait_ready(&self, ceiling: Duration) -> Result<(), RigError> {
        let socket = self.socket();
        let ready = poll::until(ceiling, || {
            if UnixStream::connect(&socket).is_ok() {
                return Some(Ok(()));
            }
            match self.daemon() {
                DaemonState::Running(_) => None,
                DaemonState::Absent | DaemonState::Ended(_) => Some(Err(self.ended())),
            }
        });
        ready.unwrap_or_else(|| {
            Err(RigError::TimedOut {
                what: format!(
                    "the daemon of {} answers on {}",
                    self.name(),
                    socket.display()
                ),
                ceiling,
                logs: self.log_tail(),
            })
        })
    }

    /// What is known about the daemon now.
    pub fn daemon(&self) -> DaemonState {
        if let Some(how) = self.slot().reap() {
            return DaemonState::Ended(how);
        }
        let pid_file = self.layout().pid_file(self.name());
        let recorded = fs::read(pid_file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        match recorded {
            None => DaemonState::Absent,
            Some(id) if ProcessId::is_alive(&id) => DaemonState::Running(id),
            Some(_) => DaemonState::Ended("unseen".to_owned()),
        }
    }

    /// Asks the daemon to end (SIGTERM) and waits for it. Its tasks go on. None running is fine.
    ///
    /// # Errors
    /// [`RigError::StillRunning`] when it does not end.
    pub fn stop_daemon(&self) -> Result<(), RigError> {
        self.end_daemon(Signal::SIGTERM)
    }

    /// Kills the daemon (SIGKILL), not its tasks. None running is fine.
    ///
    /// # Errors
    /// [`RigError::StillRunning`] when the kernel does not let go of it.
    pub fn kill_daemon(&self) -> Result<(), RigError> {
        self.end_daemon(Signal::SIGKILL)
    }

    fn end_daemon(&self, signal: Signal) -> Result<(), RigError> {
        if let DaemonState::Running(id) = self.daemon() {
            id.signal(signal)?;
            let gone = poll::until(STOP, || {
                self.slot().reap();
                (!id.is_alive()).then_some(())
            });
            if gone.is_none() {
                let what = format!("the daemon of {} (sent {signal})", self.name());
                return Err(RigError::StillRunning {
                    what,
                    pids: vec![id.pid],
                    limit: STOP,
                });
            }
        }
        self.forget_daemon()
    }

    /// Drops the record of a daemon that is gone.
    pub(crate) fn forget_daemon(&self) -> Result<(), RigError> {
        self.slot().reap();
        *self.slot().lock() = None;
        let pid_file = self.layout().pid_file(self.name());
        match fs::remove_file(&pid_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file("remove", &pid_file)(error))
            }
            _ => Ok(()),
        }
    }

    /// All the daemon ever wrote to its log; empty before its first start.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.layout().log(self.name())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of the daemon's log under a heading, for messages.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(TAIL)..)
            .unwrap_or_default()
            .join("\n");
        let path = self.layout().log(self.name());
        format!(
            "--- {} ({}) ---\n{tail}",
            path.display(),
            state_word(&self.daemon())
        )
    }

    fn ended(&self) -> RigError {
        let how = state_word(&self.daemon());
        RigError::DaemonEnded {
            host: self.name().to_owned(),
            how,
            log: self.log_tail(),
        }
    }
}

fn state_word(state: &DaemonState) -> String {
    match state {
        DaemonState::Absent => "not started".to_owned(),
        DaemonState::Running(id) => format!("running as {}", id.pid),
        DaemonState::Ended(how) => how.clone(),
    }
}

fn file(op: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RigError {
    let path = path.to_owned();
    move |source| RigError::File { op, path, source }
}
