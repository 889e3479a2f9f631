//! `weft daemon`: one per machine. Hosts whatever this node is: nothing yet, a worker, a manager.

mod address;
mod agent_key;
mod change;
mod found;
mod join;
mod leave;
mod local;
mod lock;
mod moved;
mod node;
mod node_file;
mod paths;
mod reattest;
mod recover;
mod restore;
mod role;
mod socket;
mod worker;

pub(crate) use paths::Paths;

use crate::daemon::local::LocalService;
use crate::daemon::node::NodeHandle;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weft_proto::spec::Generic;
use weft_proto::time::SystemClock;

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub(crate) struct DaemonConfig {
    /// Where state, socket and namespaces are.
    pub(crate) paths: Paths,
    /// The node's name for people; the machine's own unless given.
    pub(crate) hostname: String,
    /// What else it has, counted.
    pub(crate) generic: Generic,
    /// Below which cgroup its tasks are: two daemons on one machine need two.
    pub(crate) cgroup_parent: String,
    /// Where others reach this node, if that has changed since it joined.
    pub(crate) advertise_addr: Option<String>,
}

/// How long commands under way may take to end when the daemon stops.
const SOCKET_PATIENCE: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT. Tasks go on running: the next daemon adopts them.
pub(crate) async fn run(config: DaemonConfig) -> anyhow::Result<()> {
    // Keys are in this process: no core dump, and nobody but root looks into it. A program that is
    // started is as dumpable as any, so this is not handed on to tasks.
    nix::sys::prctl::set_dumpable(false).context("keep this process out of core dumps")?;
    config.paths.prepare()?;
    let _lock = config.paths.lock().await?;
    let stop = CancellationToken::new();
    let (fatal, mut fatal_seen) = mpsc::channel(1);
    let node = Arc::new(NodeHandle::new(
        config.clone(),
        Arc::new(SystemClock),
        fatal,
    ));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        state = %config.paths.state_dir.display(),
        socket = %config.paths.socket().display(),
        hostname = config.hostname,
        "weft daemon starts"
    );
    node.resume()
        .await
        .context("this node cannot take its place in its cluster again")?;
    // Only now: whoever finds the socket finds a node that knows what it is.
    let socket = socket::serve(
        &config.paths,
        LocalService::new(node.clone()),
        node.control(),
        stop.clone(),
    )?;
    let roles = tokio::spawn(role::follow(node.clone(), stop.clone()));
    tracing::info!("ready");

    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        failure = fatal_seen.recv() => failure,
    };
    tracing::info!("stopping; tasks go on running");
    stop.cancel();
    drop(roles.await);
    node.stop().await;
    // Somebody may be following logs; that is no reason to stay.
    drop(tokio::time::timeout(SOCKET_PATIENCE, socket).await);
    match failure {
        // What is on disk is unknown: only a new process finds out.
        Some(why) => anyhow::bail!("{why}"),
        None => Ok(()),
    }
}
