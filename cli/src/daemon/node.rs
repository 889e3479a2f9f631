//! What this node is now: nothing, a worker, or a manager (which runs tasks too).

use crate::daemon::DaemonConfig;
use crate::daemon::address::Advertise;
use crate::daemon::join::Asking;
use crate::daemon::node_file::NodeFile;
use crate::daemon::paths::remove_dir;
use crate::daemon::recover;
use crate::daemon::socket::ControlSwitch;
use crate::daemon::worker::Worker;
use anyhow::Context;
use anyhow::bail;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_manager::run::Manager;
use weft_manager::run::ManagerConfig;
use weft_pki::Keystore;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_proto::Role;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_worker::agent::Told;

/// How long parts may take to end before the process ends anyway.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How long a port may still be in use by a manager part that ended.
const FREE_WITHIN: Duration = Duration::from_secs(2);

/// The node of this daemon. One change of its state at a time.
pub(crate) struct NodeHandle {
    pub(super) config: DaemonConfig,
    pub(super) clock: Arc<dyn Clock>,
    fatal: mpsc::Sender<String>,
    control: Arc<ControlSwitch>,
    /// What the cluster says this node is.
    pub(super) told: watch::Sender<Told>,
    /// Asks the agent for a new certificate.
    pub(super) renew: Arc<Notify>,
    /// What is wrong with this node, for people.
    note: watch::Sender<String>,
    pub(super) running: Mutex<Option<Running>>,
    /// What this node asked for, while it waits to be let into a cluster.
    pub(super) asking: Mutex<Option<Asking>>,
}

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeHandle")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A node that is part of a cluster.
pub(crate) struct Running {
    pub(super) identity: NodeIdentity,
    pub(super) file: NodeFile,
    pub(super) credentials: Arc<LiveCredentials>,
    pub(super) manager: Option<Manager>,
    pub(super) worker: Worker,
    stop: CancellationToken,
    /// Ends the watch over the manager part when that ends as it should.
    manager_stop: CancellationToken,
    watchers: Vec<JoinHandle<()>>,
}

impl NodeHandle {
    pub(crate) fn new(
        config: DaemonConfig,
        clock: Arc<dyn Clock>,
        fatal: mpsc::Sender<String>,
    ) -> Self {
        let control = Arc::new(ControlSwitch::default());
        control.refuse(|| NOT_A_MEMBER.to_owned());
        NodeHandle {
            config,
            clock,
            fatal,
            control,
            told: watch::Sender::default(),
            renew: Arc::default(),
            note: watch::Sender::default(),
            running: Mutex::new(None),
            asking: Mutex::new(None),
        }
    }

    /// Where the socket sends calls about the cluster.
    pub(crate) fn control(&self) -> Arc<ControlSwitch> {
        self.control.clone()
    }

    /// Takes up the place that an earlier daemon had.
    pub(crate) async fn resume(&self) -> anyhow::Result<()> {
        let paths = &self.config.paths;
        let Some(mut file) = NodeFile::load(&paths.node_file())? else {
            return Ok(());
        };
        recover::finish(paths, &mut file)?;
        if file.raft_id.is_none() {
            // A crash came between the end of its life as a manager and the removal of its log.
            remove_dir(&paths.log())?;
        }
        self.settle_address(&mut file)?;
        let credentials = Keystore::new(paths.identity()).load()?;
        let live = LiveCredentials::new(credentials)?;
        let mut running = self.running.lock().await;
        let (manager, refused) = match self.start_manager(&file, live.clone()).await {
            Ok(manager) => (manager, None),
            Err(err) if must_rejoin(&err) => (None, Some(format!("{err:#}"))),
            Err(err) => return Err(err),
        };
        *running = Some(self.start(file, live, manager).await?);
        if let Some(why) = refused {
            // Its tasks need not suffer, and a daemon is needed to leave the cluster.
            tracing::error!("{why}; until then this node is only a worker");
            self.control.refuse(move || why.clone());
        }
        Ok(())
    }

    /// Starts consensus and the control port, if this node is a manager.
    pub(super) async fn start_manager(
        &self,
        file: &NodeFile,
        credentials: Arc<LiveCredentials>,
    ) -> anyhow::Result<Option<Manager>> {
        let Some(raft_id) = file.raft_id else {
            return Ok(None);
        };
        let port = SocketAddr::new(unspecified(file.advertise_addr), file.advertise_addr.port());
        let listener = listen(port).await.with_context(|| {
            format!("cannot listen on {port}: is another manager running on this machine?")
        })?;
        let identity = credentials.current().identity();
        let manager = Manager::start(ManagerConfig {
            node: identity.node,
            cluster: identity.cluster,
            raft_id,
            addr: file.advertise_addr,
            dir: self.config.paths.log(),
            credentials,
            listener,
            clock: self.clock.clone(),
            entropy: Arc::new(rand::random::<u128>),
        })
        .await
        .context("the manager cannot start")?;
        Ok(Some(manager))
    }

    /// Starts the rest of the node.
    pub(super) async fn start(
        &self,
        file: NodeFile,
        live: Arc<LiveCredentials>,
        manager: Option<Manager>,
    ) -> anyhow::Result<Running> {
        let identity = live.current().identity();
        // What was said of an earlier membership does not count for this one.
        self.told.send_replace(Told::Nothing);
        let worker = self.start_worker(identity, &file, live.clone()).await?;
        match &manager {
            Some(manager) => self.control.connect(manager.control_routes()),
            None => {
                let worker = worker.clone();
                self.control
                    .refuse(move || not_a_manager(&worker.managers()));
            }
        }
        let stop = CancellationToken::new();
        let watcher = tokio::spawn(watch_worker(
            worker.clone(),
            stop.clone(),
            self.fatal.clone(),
        ));
        tracing::info!(node = %identity.node, role = %identity.role, cluster = %identity.cluster, "part of a cluster");
        let mut running = Running {
            identity,
            file,
            credentials: live,
            manager: None,
            worker,
            manager_stop: stop.child_token(),
            stop,
            watchers: vec![watcher],
        };
        if let Some(manager) = manager {
            running.put_manager(manager, self.fatal());
        }
        Ok(running)
    }

    /// Whoever takes it says there why the process must end.
    pub(super) fn fatal(&self) -> mpsc::Sender<String> {
        self.fatal.clone()
    }

    /// The process must end.
    pub(super) fn fail(&self, why: String) {
        // Full means that somebody else said so already.
        drop(self.fatal.try_send(why));
    }

    /// What people should know of this node's trouble; empty: nothing.
    pub(super) fn note(&self, note: String) {
        self.note.send_replace(note);
    }

    /// Takes over the address that the daemon was started with, and says so if the one that others
    /// use is gone from this machine.
    fn settle_address(&self, file: &mut NodeFile) -> anyhow::Result<()> {
        if let Some(given) = &self.config.advertise_addr {
            let advertise = Advertise::given(given)?;
            if advertise.0 != file.advertise_addr {
                tracing::info!(was = %file.advertise_addr, now = %advertise.0, "this node has moved");
                file.move_to(advertise.0);
                file.store(&self.config.paths.node_file())?;
            }
        }
        if let Err(why) = Advertise::given(&file.advertise_addr.to_string()) {
            let note = format!(
                "others look for this node at {}, but {why:#}: say where it is with \"weft cluster \
                 update-addr --advertise-addr ADDR\"",
                file.advertise_addr
            );
            tracing::warn!(note);
            self.note(note);
        }
        Ok(())
    }

    /// Ends everything but the tasks.
    pub(crate) async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.stop().await;
        }
    }

    /// From now on this node is in no cluster.
    pub(super) fn left(&self) {
        self.control.refuse(|| NOT_A_MEMBER.to_owned());
    }

    /// What this node is, for people.
    pub(crate) async fn info(&self) -> wire::InfoResponse {
        let mut info = wire::InfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.config.hostname.clone(),
            ..wire::InfoResponse::default()
        };
        let Ok(running) = self.running.try_lock() else {
            info.state = "joining".to_owned();
            return info;
        };
        info.note = self.note.borrow().clone();
        let Some(running) = running.as_ref() else {
            info.state = "none".to_owned();
            return info;
        };
        info.state = running.role().to_string();
        info.node_id = running.identity.node.to_string();
        info.cluster_id = running.identity.cluster.to_string();
        info.manager_addrs = running
            .worker
            .managers()
            .iter()
            .map(ToString::to_string)
            .collect();
        if let Some(leader) = running.manager.as_ref().and_then(Manager::leader) {
            info.leader_node_id = leader.node_id.to_string();
        }
        info
    }

    /// Refuses to found or join when there is a cluster already.
    pub(super) fn must_be_free(running: Option<&Running>) -> anyhow::Result<()> {
        match running {
            None => Ok(()),
            Some(running) => bail!(
                "this node is a {} of cluster {} already: leave it first (weft cluster leave)",
                running.role(),
                running.identity.cluster.short()
            ),
        }
    }
}

const NOT_A_MEMBER: &str = "this node is in no cluster: found one with \"weft cluster init\", or \
     join one with \"weft cluster join --token TOKEN MANAGER:2377\"";

fn must_rejoin(err: &anyhow::Error) -> bool {
    err.downcast_ref::<weft_manager::run::StartError>()
        .is_some_and(weft_manager::run::StartError::must_rejoin)
}

/// What a worker answers to calls that only managers can.
pub(super) fn not_a_manager(managers: &[SocketAddr]) -> String {
    let addrs: Vec<String> = managers.iter().map(ToString::to_string).collect();
    format!(
        "this node is a worker, and only managers know the cluster: run the command on one of them \
         ({})",
        if addrs.is_empty() {
            "none known here".to_owned()
        } else {
            addrs.join(", ")
        }
    )
}

fn unspecified(addr: SocketAddr) -> std::net::IpAddr {
    match addr {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Listens on a port that a manager of this very process may have left a moment ago.
async fn listen(port: SocketAddr) -> std::io::Result<TcpListener> {
    let deadline = Instant::now() + FREE_WITHIN;
    loop {
        match TcpListener::bind(port).await {
            Err(busy)
                if busy.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < deadline =>
            {
                tokio::time::sleep(FREE_WITHIN / 20).await;
            }
            bound => return bound,
        }
    }
}

impl Running {
    /// Ends everything but the tasks.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let parts = async {
            self.worker.stop().await;
            if let Some(manager) = &self.manager {
                manager.shutdown().await;
            }
            for watcher in self.watchers {
                drop(watcher.await);
            }
        };
        if tokio::time::timeout(STOP_WITHIN, parts).await.is_err() {
            tracing::warn!("some part did not end in time; the process ends anyway");
        }
    }

    pub(super) fn is_manager(&self) -> bool {
        self.file.raft_id.is_some()
    }

    fn role(&self) -> Role {
        if self.is_manager() {
            Role::Manager
        } else {
            Role::Worker
        }
    }

    /// Takes in a manager part that was started; its end from now on ends the process.
    pub(super) fn put_manager(&mut self, manager: Manager, fatal: mpsc::Sender<String>) {
        self.manager_stop = self.stop.child_token();
        let watcher = watch_manager(manager.clone(), self.manager_stop.clone(), fatal);
        self.watchers.push(tokio::spawn(watcher));
        self.manager = Some(manager);
    }

    /// Gives the manager part away, to be ended.
    pub(super) fn take_manager(&mut self) -> Option<Manager> {
        self.manager_stop.cancel();
        self.manager.take()
    }
}

/// Reports an agent's end, which ends the process.
async fn watch_worker(worker: Worker, stop: CancellationToken, fatal: mpsc::Sender<String>) {
    let why = tokio::select! {
        () = stop.cancelled() => return,
        why = worker.failed() => format!("the agent cannot go on: {why}"),
    };
    // Full means that somebody else said so already.
    drop(fatal.try_send(why));
}

/// Reports a manager's end, which ends the process.
async fn watch_manager(manager: Manager, stop: CancellationToken, fatal: mpsc::Sender<String>) {
    let why = tokio::select! {
        () = stop.cancelled() => return,
        why = manager.failed() => format!("the manager cannot go on: {why}"),
    };
    drop(fatal.try_send(why));
}
