//! What can go wrong while hosts are built, used or removed: one variant per operation.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A rig operation that failed. `Display` says what was attempted on which object; the cause
/// follows as `source`.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// Namespaces and links need root.
    #[error("a rig needs root to make network namespaces, but runs as uid {uid}: use sudo")]
    NotRoot {
        /// Effective user of this process.
        uid: u32,
    },
    /// A name that cannot become a directory, link and cgroup name.
    #[error("rig or host name {name:?} must be 1 to 12 of a-z, 0-9 and '-'")]
    BadName {
        /// The refused name.
        name: String,
    },
    /// The underlay has no address left for another host.
    #[error("underlay {subnet} has no address for host {host}")]
    NoAddress {
        /// The underlay.
        subnet: ipnet::Ipv4Net,
        /// Host that got none.
        host: String,
    },
    /// A rig of this name is already there.
    #[error("{dir} already holds a rig: remove it first")]
    AlreadyThere {
        /// Run directory of the rig.
        dir: PathBuf,
    },
    /// No rig where one was looked for.
    #[error("no rig in {dir}")]
    NotThere {
        /// Run directory that was looked into.
        dir: PathBuf,
        /// Why the state could not be read.
        #[source]
        source: io::Error,
    },
    /// The state file is not what this version writes.
    #[error("read the rig's state {path}")]
    State {
        /// The state file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A file or directory of the rig could not be made, read or removed.
    #[error("{op} {path}")]
    File {
        /// What was attempted.
        op: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Making, entering or removing a network namespace failed.
    #[error("{op} network namespace {path}")]
    Netns {
        /// What was attempted.
        op: &'static str,
        /// The namespace's file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: weft_kernel::netns::NetnsError,
    },
    /// A change to a link failed.
    #[error("{op} link {link}")]
    Link {
        /// What was attempted.
        op: &'static str,
        /// Name of the link.
        link: String,
        /// What the kernel answered.
        #[source]
        source: rtnetlink::Error,
    },
    /// There is no link of that name in the namespace.
    #[error("no link {link}")]
    NoLink {
        /// Name of the link.
        link: String,
    },
    /// A program could not be started.
    #[error("start {program} on {host}")]
    Spawn {
        /// The program.
        program: String,
        /// Host it should have run on.
        host: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program ran longer than it was given, and was killed.
    #[error("{command} on {host} took longer than {limit:?}; it said: {said}")]
    TooSlow {
        /// Command line.
        command: String,
        /// Host it ran on.
        host: String,
        /// What it was given.
        limit: Duration,
        /// Its output so far.
        said: String,
    },
    /// A program ended with a failure where success was asked for.
    #[error("{command} on {host} failed with {status}: {said}")]
    Failed {
        /// Command line.
        command: String,
        /// Host it ran on.
        host: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        said: String,
    },
    /// `--format json` gave something else.
    #[error("{command} on {host} did not print the expected JSON: {said}")]
    Json {
        /// Command line.
        command: String,
        /// Host it ran on.
        host: String,
        /// What it printed.
        said: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The daemon of a host is already running.
    #[error("the daemon of {host} is already running as process {pid}")]
    DaemonRuns {
        /// The host.
        host: String,
        /// Its daemon.
        pid: i32,
    },
    /// The daemon ended while it was expected to come up.
    #[error("the daemon of {host} ended: {how}\n{log}")]
    DaemonEnded {
        /// The host.
        host: String,
        /// Exit status or signal.
        how: String,
        /// End of its log.
        log: String,
    },
    /// A signal could not be sent.
    #[error("send {signal} to process {pid}")]
    Signal {
        /// The signal's name.
        signal: &'static str,
        /// The process.
        pid: i32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Processes that did not die.
    #[error("processes {pids:?} of {what} are still there after {limit:?}")]
    StillRunning {
        /// Whose processes.
        what: String,
        /// Their ids.
        pids: Vec<i32>,
        /// How long was waited.
        limit: Duration,
    },
    /// A condition that did not become true.
    #[error("waited {ceiling:?} in vain for: {what}\n{logs}")]
    TimedOut {
        /// The condition in words.
        what: String,
        /// How long was waited.
        ceiling: Duration,
        /// The ends of the daemons' logs.
        logs: String,
    },
    /// Entering a task's namespaces failed.
    #[error("enter the {kind} namespace of process {pid}")]
    Enter {
        /// `net`, `mnt`, `pid`, ...
        kind: &'static str,
        /// The process whose namespace it is.
        pid: i32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Removing a rig left something behind.
    #[error("removing {tag} left behind:\n{left}")]
    Leftovers {
        /// The rig.
        tag: String,
        /// One thing per line.
        left: String,
    },
}

/// The error and its causes on one line, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
