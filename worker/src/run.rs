//! Composition: builds the worker's rooms, joins them by channels, and owns their end.

use crate::agent::Agent;
use crate::agent::Dial;
use crate::agent::Hello;
use crate::agent::Managers;
use crate::agent::Outbox;
use crate::agent::Renewal;
use crate::agent::Told;
use crate::agent::keep_outbox;
use crate::agent::keep_saved;
use crate::dataplane::Network;
use crate::db::Db;
use crate::desired::Desired;
use crate::dns::ResolvConf;
use crate::keys::KeyTable;
use crate::reconciler;
use crate::reconciler::NETWORK_PATIENCE;
use crate::reconciler::Parts;
use crate::reconciler::Reconciler;
use crate::runtime::Runtime;
use crate::task::NodeFacts;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use weft_pki::Expect;
use weft_pki::Keystore;
use weft_pki::LiveCredentials;
use weft_pki::LocalKey;
use weft_pki::tunnel::TunnelSecret;
use weft_proto::NodeId;
use weft_proto::object::NodeDescription;
use weft_proto::time::Clock;

/// Reports on their way from the reconciler; it waits when there are more.
const REPORTS: usize = 256;

/// What a worker is told when it starts.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Where the daemon keeps its state; tasks do not see it.
    pub state_dir: PathBuf,
    /// Where the daemon keeps sockets and namespaces; tasks do not see it.
    pub run_dir: PathBuf,
    /// This node.
    pub me: NodeId,
    /// What it is made of.
    pub description: NodeDescription,
    /// Where other nodes send its VXLAN packets.
    pub data_addr: IpAddr,
    /// Its own keys for encrypted networks.
    pub tunnel_key: TunnelSecret,
    /// What it shares with other nodes goes here, for whoever encrypts.
    pub keys: watch::Sender<Arc<KeyTable>>,
    /// Managers to begin with; those that a manager names are added.
    pub managers: Vec<SocketAddr>,
    /// On a manager: its own advertised address, which its agent asks first.
    pub own_manager: Option<SocketAddr>,
    /// The node's identity in use; none on a manager that is locked: the worker goes on with what it
    /// was told last, and speaks to nobody.
    pub credentials: Option<Arc<LiveCredentials>>,
    /// Where a renewed identity is kept.
    pub keystore: Keystore,
    /// What the record of assignments is sealed with.
    pub local_key: Option<LocalKey>,
    /// The node's resolvers.
    pub resolv_conf: ResolvConf,
    /// This very program; tasks see it as `weft`.
    pub program: Option<PathBuf>,
    /// What managers say this node is goes here.
    pub told: watch::Sender<Told>,
    /// Asks for a new certificate now: the node's role has changed.
    pub renew: Arc<Notify>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Seed of orders and pauses; different on every node and at every start.
    pub seed: u64,
}

/// Why a worker ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part of it ended.
    #[error("the worker's {0} ended by itself")]
    Ended(&'static str),
    /// A part of it panicked.
    #[error("a part of the worker broke")]
    Broke(#[source] JoinError),
}

/// Runs the worker until `shutdown`. Tasks and networks outlive it: the next start adopts them.
pub async fn run(
    config: WorkerConfig,
    runtime: Arc<dyn Runtime>,
    network: impl Network,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    // Ends every part when this function does, however it does.
    let end = shutdown.child_token();
    let _guard = end.clone().drop_guard();

    let db = Db::new(&config.state_dir).sealed_with(config.local_key.clone());
    let known = load(&db);
    let saved = known.revision;
    info!(
        node = %config.me, revision = known.revision, tasks = known.tasks.len(),
        "worker starts with its last assignments"
    );
    let (desired, desired_rx) = watch::channel(Arc::new(known));
    let (reports, reports_rx) = mpsc::channel(REPORTS);
    let (outbox, outbox_rx) = watch::channel(Outbox::new());
    let (applied, applied_rx) = watch::channel(0);

    let mut parts = JoinSet::new();
    // Without an agent nobody changes what is wanted; whoever waits for a change goes on waiting.
    let unchanged = match &config.credentials {
        None => Some((desired, outbox_rx, applied_rx)),
        Some(live) => {
            let state = (desired, outbox_rx, applied_rx);
            let (agent, renewal) = line(&config, live, state, desired_rx.clone(), &runtime);
            spawn(&mut parts, "agent", agent.run(end.clone()));
            spawn(&mut parts, "certificate renewal", renewal.run(end.clone()));
            None
        }
    };
    let reconciler = Reconciler::new(Parts {
        desired: desired_rx.clone(),
        node: NodeFacts {
            id: config.me,
            hostname: config.description.hostname,
            hidden_dirs: vec![config.state_dir, config.run_dir],
            program: config.program,
        },
        resolv_conf: config.resolv_conf,
        runtime,
        network,
        reports,
        applied,
        clock: config.clock,
        network_patience: NETWORK_PATIENCE,
    });

    let saver = keep_saved(db, desired_rx.clone(), saved, end.clone());
    let keeper = keep_outbox(reports_rx, desired_rx, outbox);
    spawn(&mut parts, "record of assignments", saver);
    spawn(&mut parts, "outbox", keeper);

    let reconciled = reconciler.run(end.clone());
    let outcome = tokio::select! {
        _ = reconciled => Err(RunError::Ended("reconciler")),
        ended = parts.join_next() => Err(match ended {
            Some(Ok(name)) => RunError::Ended(name),
            Some(Err(error)) => RunError::Broke(error),
            None => RunError::Ended("last part"),
        }),
    };
    // Asked to end, every part ends by itself, in any order.
    let asked = shutdown.is_cancelled();
    end.cancel();
    while parts.join_next().await.is_some() {}
    drop(unchanged);
    if asked { Ok(()) } else { outcome }
}

/// The line to the managers.
fn line(
    config: &WorkerConfig,
    live: &Arc<LiveCredentials>,
    (desired, outbox, applied): (
        watch::Sender<Arc<Desired>>,
        watch::Receiver<Outbox>,
        watch::Receiver<u64>,
    ),
    told: watch::Receiver<Arc<Desired>>,
    runtime: &Arc<dyn Runtime>,
) -> (Agent, Renewal) {
    let speaking = Arc::clone(live);
    let dial: Dial =
        Arc::new(move |addr| weft_pki::channel(addr, Arc::clone(&speaking), Expect::any_manager()));
    let policy = watch::Sender::new(None);
    let agent = Agent {
        hello: Hello {
            node: config.me,
            description: config.description.clone(),
            data_addr: config.data_addr,
            tunnel_key: config.tunnel_key.public(),
            // Random, and another one for every start.
            instance: config.seed.max(1),
        },
        managers: Managers::new(config.managers.clone(), config.own_manager),
        dial: Arc::clone(&dial),
        desired,
        keys: config.keys.clone(),
        outbox,
        applied,
        told: config.told.clone(),
        holds: live.summaries(),
        policy: policy.clone(),
        runtime: Arc::clone(runtime),
        seed: config.seed,
    };
    let renewal = Renewal {
        live: Arc::clone(live),
        keystore: config.keystore.clone(),
        clock: Arc::clone(&config.clock),
        desired: told,
        configured: config.managers.clone(),
        dial,
        asked: Arc::clone(&config.renew),
        policy,
        seed: config.seed.wrapping_add(1),
    };
    (agent, renewal)
}

/// Ends and removes every task, every network and the record of assignments, for a node that
/// leaves its cluster; call it when [`run`] has ended. Does all it can, and returns what it could
/// not do, for people.
pub async fn clear(
    state_dir: &Path,
    runtime: Arc<dyn Runtime>,
    network: &mut impl Network,
) -> Vec<String> {
    let mut problems = reconciler::clear(runtime, network).await;
    problems.extend(
        Db::new(state_dir)
            .remove()
            .err()
            .map(|error| error.to_string()),
    );
    problems
}

/// A damaged record is as good as none: nothing is touched until a manager says what is wanted.
fn load(db: &Db) -> Desired {
    match db.load() {
        Ok(known) => known.unwrap_or_default(),
        Err(error) => {
            error!(%error, "this node waits for a manager before it touches any task");
            Desired::default()
        }
    }
}

fn spawn(
    parts: &mut JoinSet<&'static str>,
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) {
    parts.spawn(async move {
        part.await;
        name
    });
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
