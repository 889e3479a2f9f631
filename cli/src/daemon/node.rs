//! What this node is now: nothing, a worker, or a manager (which runs tasks too).

use crate::daemon::DaemonConfig;
use crate::daemon::node_file::NodeFile;
use crate::daemon::socket::ControlSwitch;
use crate::daemon::worker::Worker;
use anyhow::Context;
use anyhow::bail;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weft_manager::run::Manager;
use weft_manager::run::ManagerConfig;
use weft_pki::Credentials;
use weft_pki::Keystore;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_proto::Role;
use weft_proto::time::Clock;
use weft_proto::wire;

/// How long parts may take to end before the process ends anyway.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The node of this daemon. One change of its state at a time.
pub(crate) struct NodeHandle {
    pub(super) config: DaemonConfig,
    pub(super) clock: Arc<dyn Clock>,
    fatal: mpsc::Sender<String>,
    control: Arc<ControlSwitch>,
    pub(super) running: Mutex<Option<Running>>,
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
    watcher: JoinHandle<()>,
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
            running: Mutex::new(None),
        }
    }

    /// Where the socket sends calls about the cluster.
    pub(crate) fn control(&self) -> Arc<ControlSwitch> {
        self.control.clone()
    }

    /// Takes up the place that an earlier daemon had.
    pub(crate) async fn resume(&self) -> anyhow::Result<()> {
        let Some(file) = NodeFile::load(&self.config.paths.node_file())? else {
            return Ok(());
        };
        let credentials = Keystore::new(self.config.paths.identity()).load()?;
        let mut running = self.running.lock().await;
        let (manager, refused) = match self.start_manager(&file, &credentials).await {
            Ok(manager) => (manager, None),
            Err(err) if must_rejoin(&err) => (None, Some(format!("{err:#}"))),
            Err(err) => return Err(err),
        };
        *running = Some(self.start(file, credentials, manager).await?);
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
        credentials: &Credentials,
    ) -> anyhow::Result<Option<(Manager, Arc<LiveCredentials>)>> {
        let Some(raft_id) = file.raft_id else {
            return Ok(None);
        };
        let live = LiveCredentials::new(credentials.clone())?;
        let port = SocketAddr::new(unspecified(file.advertise_addr), file.advertise_addr.port());
        let listener = TcpListener::bind(port).await.with_context(|| {
            format!("cannot listen on {port}: is another manager running on this machine?")
        })?;
        let manager = Manager::start(ManagerConfig {
            node: credentials.identity().node,
            cluster: credentials.identity().cluster,
            raft_id,
            addr: file.advertise_addr,
            dir: self.config.paths.log(),
            credentials: live.clone(),
            listener,
            clock: self.clock.clone(),
            entropy: Arc::new(rand::random::<u128>),
        })
        .await
        .context("the manager cannot start")?;
        Ok(Some((manager, live)))
    }

    /// Starts the rest of the node.
    pub(super) async fn start(
        &self,
        file: NodeFile,
        credentials: Credentials,
        manager: Option<(Manager, Arc<LiveCredentials>)>,
    ) -> anyhow::Result<Running> {
        let identity = credentials.identity();
        let (manager, live) = match manager {
            Some((manager, live)) => (Some(manager), live),
            None => (None, LiveCredentials::new(credentials)?),
        };
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
        let watcher = tokio::spawn(watch(
            manager.clone(),
            worker.clone(),
            stop.clone(),
            self.fatal.clone(),
        ));
        tracing::info!(node = %identity.node, role = %identity.role, cluster = %identity.cluster, "part of a cluster");
        Ok(Running {
            identity,
            file,
            credentials: live,
            manager,
            worker,
            stop,
            watcher,
        })
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
        let Some(running) = running.as_ref() else {
            info.state = "none".to_owned();
            return info;
        };
        info.state = running.identity.role.to_string();
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
                running.identity.role,
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
fn not_a_manager(managers: &[SocketAddr]) -> String {
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

impl Running {
    /// Ends everything but the tasks.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let parts = async {
            self.worker.stop().await;
            if let Some(manager) = &self.manager {
                manager.shutdown().await;
            }
            drop(self.watcher.await);
        };
        if tokio::time::timeout(STOP_WITHIN, parts).await.is_err() {
            tracing::warn!("some part did not end in time; the process ends anyway");
        }
    }

    pub(super) fn is_manager(&self) -> bool {
        self.identity.role == Role::Manager
    }
}

/// Reports what ends the process.
async fn watch(
    manager: Option<Manager>,
    worker: Worker,
    stop: CancellationToken,
    fatal: mpsc::Sender<String>,
) {
    let failed = async {
        match &manager {
            Some(manager) => manager.failed().await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        () = stop.cancelled() => return,
        why = failed => format!("the manager cannot go on: {why}"),
        why = worker.failed() => format!("the agent cannot go on: {why}"),
    };
    // Full means that somebody else said so already.
    drop(fatal.try_send(why));
}
