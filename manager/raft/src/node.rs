//! One member of the cluster.

use crate::config::RaftConfig;
use crate::directory::Opened;
use crate::directory::open_dir;
use crate::error::BootstrapError;
use crate::error::StartError;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::log_store::LogReader;
use crate::log_store::LogStore;
use crate::member::Member;
use crate::network::Network;
use crate::peers::Dialer;
use crate::peers::Peers;
use crate::server::OwnDisk;
use crate::server::RaftService;
use crate::snapshot::SnapshotStore;
use crate::state_machine::Adapter;
use crate::state_machine::StateMachine;
use crate::status::RaftStatus;
use crate::status::Reporter;
use crate::succession;
use crate::succession::Broken;
use crate::types::Peer;
use crate::types::Raft;
use crate::types::TypeConfig;
use crate::watchdog;
use crate::writer::Writer;
use openraft::errors::Fatal;
use openraft::errors::InitializeError;
use openraft::errors::RaftError;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use weft_proto::ClusterId;
use weft_proto::wire::raft_server::RaftServer;

/// One member of the cluster. Clones are handles to the same member. Dropping them does not
/// stop it: [`RaftNode::shutdown`] does.
///
/// # A member's life
///
/// 1. [`RaftNode::start`] from its directory, serve [`RaftNode::service`].
/// 2. The first member of a cluster: [`RaftNode::bootstrap`]. Any other: the leader calls
///    [`RaftNode::add_learner`], then [`RaftNode::promote`].
/// 3. [`RaftNode::propose`] on the leader; [`RaftNode::read_index`] on the leader and
///    [`RaftNode::wait_applied`] anywhere, for reads that miss nothing.
/// 4. Watch [`RaftNode::failed`]: when it resolves, the process must end.
/// 5. To leave: the leader calls [`RaftNode::remove`]. The number and the directory are then
///    never used again. To stop for a while: [`RaftNode::shutdown`].
#[derive(Clone)]
pub struct RaftNode {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) raft: Raft,
    pub(crate) me: Member,
    cluster: ClusterId,
    pub(crate) max_command: usize,
    pub(crate) propose_timeout: Duration,
    status: Arc<watch::Sender<RaftStatus>>,
    pub(crate) progress: Arc<watch::Sender<u64>>,
    pub(crate) stopped: watch::Sender<bool>,
    broken: Arc<watch::Sender<Option<Broken>>>,
    pub(crate) fault: Fault,
    pub(crate) writer: Writer,
    snapshots: Arc<SnapshotStore>,
    log: LogReader,
    dir: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for RaftNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftNode")
            .field("me", &self.inner.me)
            .field("cluster", &self.inner.cluster)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn status(&self) -> RaftStatus {
        self.status.borrow().clone()
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.status.borrow().is_leader
    }

    /// How long a majority's confirmation lasts.
    pub(crate) fn lease(&self) -> Duration {
        self.status.borrow().lease
    }

    /// Why nothing works any more: the first fault explains more than its consequence.
    pub(crate) fn stop_reason(&self, fatal: &Fatal<TypeConfig>) -> String {
        self.fault.get().unwrap_or_else(|| fatal.to_string())
    }
}

impl RaftNode {
    /// Starts this member from its directory: restores the snapshot, replays the committed
    /// entries after it, then takes part. A member with an empty directory waits for
    /// [`RaftNode::bootstrap`], or until a leader adds it. Must be called in a tokio runtime,
    /// whose tasks it then uses until it is shut down.
    pub async fn start(
        config: RaftConfig,
        app: Arc<dyn StateMachine>,
        dialer: Arc<dyn Dialer>,
    ) -> Result<RaftNode, StartError> {
        let settings = config.clone();
        let opened = spawn_blocking(move || open_dir(&settings)).await;
        let opened = opened.map_err(|panic| StartError::Recover {
            reason: format!("opening the directory panicked: {panic}"),
        })??;
        RaftNode::start_opened(config, opened, app, dialer).await
    }

    pub(crate) async fn start_opened(
        config: RaftConfig,
        opened: Opened,
        app: Arc<dyn StateMachine>,
        dialer: Arc<dyn Dialer>,
    ) -> Result<RaftNode, StartError> {
        let settings = config.engine().map_err(StartError::Config)?;
        let fault = Fault::new();
        let (writer, thread) = Writer::start(opened.engine, fault.clone())
            .map_err(|source| StartError::WriteLog { source })?;
        let lease = config.timing.election_max;
        let status = Arc::new(watch::Sender::new(RaftStatus::initial(config.me, lease)));
        let progress = Arc::new(watch::Sender::new(0));
        let peers = Arc::new(Peers::new(
            config.me.raft_id,
            config.cluster,
            Arc::clone(&dialer),
            Gate::new(status.subscribe()),
            lease * 2,
        ));
        let log = LogStore::new(opened.image, writer.clone());
        let reader = log.reader();
        let raft = Raft::new(
            config.me.raft_id,
            Arc::new(settings),
            Network {
                peers: Arc::clone(&peers),
            },
            log,
            Adapter::new(app, Arc::clone(&opened.snapshots), Arc::clone(&progress)),
        )
        .await;
        let raft = match raft {
            Ok(raft) => raft,
            Err(fatal) => {
                // The directory must be free again when this returns.
                writer.stop();
                if let Some(thread) = thread {
                    join(thread).await;
                }
                return Err(StartError::Recover {
                    reason: fatal.to_string(),
                });
            }
        };
        let reporter = Reporter::new(raft.clone(), Arc::clone(&status), peers, fault.clone()).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(reporter.run());
        let inner = Arc::new(Inner {
            raft,
            me: config.me,
            cluster: config.cluster,
            max_command: config.max_command,
            propose_timeout: config.propose_timeout,
            status,
            progress,
            stopped: watch::Sender::new(false),
            broken: Arc::new(watch::Sender::new(None)),
            fault,
            writer,
            snapshots: opened.snapshots,
            log: reader,
            dir: config.dir.clone(),
            thread: Mutex::new(thread),
            tasks: Mutex::new(tasks),
        });
        let watchdog = watchdog::run(Arc::downgrade(&inner), config.slow_disk, config.dead_disk);
        inner.tasks.lock().spawn(watchdog);
        let heir = succession::run(
            Arc::downgrade(&inner),
            inner.broken.subscribe(),
            config.timing,
            dialer,
        );
        inner.tasks.lock().spawn(heir);
        tracing::info!(me = %config.me, cluster = %config.cluster, dir = %config.dir.display(), timing = ?config.timing, "consensus member started");
        Ok(RaftNode { inner })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        RaftNode { inner }
    }

    /// This member, as it was started; the replicated membership may know a newer address.
    pub fn me(&self) -> Member {
        self.inner.me
    }

    /// The service that other members call. The caller serves it and lets only managers of the
    /// cluster in.
    pub fn service(&self) -> RaftServer<RaftService> {
        RaftService::server(
            self.inner.raft.clone(),
            self.inner.me.raft_id,
            self.inner.cluster,
            Arc::clone(&self.inner.snapshots),
            Arc::clone(&self.inner.broken),
            OwnDisk {
                log: self.inner.log.clone(),
                snapshots: Arc::clone(&self.inner.snapshots),
                dir: self.inner.dir.clone(),
                fault: self.inner.fault.clone(),
            },
        )
    }

    /// Founds the cluster with this member alone, and waits until it leads.
    pub async fn bootstrap(&self) -> Result<(), BootstrapError> {
        let inner = &self.inner;
        let members = BTreeMap::from([(inner.me.raft_id, Peer::from(inner.me))]);
        inner
            .raft
            .initialize(members)
            .await
            .map_err(|error| match error {
                RaftError::APIError(
                    InitializeError::NotAllowed(_) | InitializeError::NotInMembers(_),
                ) => BootstrapError::AlreadyInitialised,
                RaftError::Fatal(fatal) => BootstrapError::Stopped {
                    reason: inner.stop_reason(&fatal),
                },
            })?;
        // Alone it is elected at once; if the disk is slow, the first proposal waits instead.
        let mut status = self.status();
        let leading = status.wait_for(|status| status.is_leader);
        drop(timeout(inner.propose_timeout, leading).await);
        Ok(())
    }

    /// This member's view, kept up to date. Changes of [`RaftStatus::quorum_acked`] and
    /// [`RaftStatus::followers`] alone wake nobody.
    pub fn status(&self) -> watch::Receiver<RaftStatus> {
        self.inner.status.subscribe()
    }

    /// Resolves when this member cannot go on, with the reason, else never. The process must
    /// then end: what is on disk is unknown, and only a new start finds out.
    pub async fn failed(&self) -> String {
        self.inner.fault.reported().await
    }

    /// Builds a snapshot now; nothing happens while one is being built. Returns before it is
    /// complete; see [`RaftStatus::snapshot`].
    pub async fn build_snapshot(&self) {
        // An error means that the member has stopped, which the status says.
        drop(self.inner.raft.trigger().snapshot().await);
    }

    /// Stops this member: nothing is written any more and the directory is free when this
    /// returns. Waits for writes under way. May be called more than once.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        // An error means that its task was gone already.
        drop(inner.raft.shutdown().await);
        inner.stopped.send_replace(true);
        inner.tasks.lock().abort_all();
        inner.writer.stop();
        let thread = inner.thread.lock().take();
        if let Some(thread) = thread {
            join(thread).await;
        }
    }
}

/// Waits for a thread without blocking the runtime.
async fn join(thread: JoinHandle<()>) {
    // A panic of the thread has been reported as a fault by the thread itself.
    drop(spawn_blocking(move || thread.join()).await);
}
