//! The worker in this daemon: its parts made, started, ended.

use crate::daemon::node::NodeHandle;
use crate::daemon::node_file::NodeFile;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weft_kernel::netns::Netns;
use weft_pki::Keystore;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_proto::object::NodeDescription;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_worker::dataplane::DataPlane;
use weft_worker::dataplane::DataPlaneConfig;
use weft_worker::db::Db;
use weft_worker::describe::describe;
use weft_worker::dns::ResolvConf;
use weft_worker::ingress::Ingress;
use weft_worker::ingress::IngressConfig;
use weft_worker::keys::own_key;
use weft_worker::run::WorkerConfig;
use weft_worker::run::clear;
use weft_worker::run::run;
use weft_worker::runtime::ProcessRuntime;
use weft_worker::runtime::ProcessRuntimeConfig;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A running worker. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    stop: CancellationToken,
    ended: watch::Receiver<Option<Result<(), String>>>,
    runtime: Arc<ProcessRuntime>,
    ways: Ways,
    known: Vec<SocketAddr>,
}

/// What the data plane is made from: it is made anew to be removed.
#[derive(Clone, Debug)]
struct Ways {
    state_dir: PathBuf,
    plane: DataPlaneConfig,
}

impl Ways {
    async fn open(&self) -> anyhow::Result<DataPlane<Ingress>> {
        let ingress = Ingress::open(IngressConfig {
            run_dir: self.plane.run_dir.clone(),
            me: self.plane.me,
            data_addr: self.plane.data_addr,
            host: Some(self.plane.host.clone()),
        })
        .context("the routing mesh cannot start")?;
        let plane = DataPlane::open(self.plane.clone(), ingress).await;
        plane.context("the data plane cannot start")
    }
}

impl NodeHandle {
    /// What this machine is, as its managers will know it.
    pub(super) fn description(&self) -> NodeDescription {
        let mut description = describe(self.config.hostname.clone(), env!("CARGO_PKG_VERSION"));
        description.generic = self.config.generic.clone();
        description
    }

    /// Starts the worker; it adopts the tasks and networks that are there.
    pub(super) async fn start_worker(
        &self,
        identity: NodeIdentity,
        file: &NodeFile,
        credentials: Arc<LiveCredentials>,
    ) -> anyhow::Result<Worker> {
        let paths = &self.config.paths;
        let runtime = ProcessRuntime::open(ProcessRuntimeConfig::new(
            paths.state_dir.join("tasks"),
            self.config.cgroup_parent.clone(),
            || SystemClock.now(),
        ))
        .await
        .context("tasks cannot be run here")?;
        let runtime = Arc::new(runtime);
        let resolv_conf = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        let ways = Ways {
            state_dir: paths.state_dir.clone(),
            plane: DataPlaneConfig {
                run_dir: paths.run_dir.clone(),
                me: identity.node,
                data_addr: file.data_addr,
                resolv_conf: ResolvConf::parse(&resolv_conf),
                host: Netns::current().context("open this node's network namespace")?,
            },
        };
        let plane = ways.open().await?;
        let config = WorkerConfig {
            state_dir: paths.state_dir.clone(),
            run_dir: paths.run_dir.clone(),
            me: identity.node,
            description: self.description(),
            data_addr: file.data_addr,
            tunnel_key: own_key(&paths.state_dir).context("no keys for encrypted networks")?,
            keys: watch::Sender::default(),
            managers: file.managers.clone(),
            own_manager: file.raft_id.map(|_| file.advertise_addr),
            credentials,
            keystore: Keystore::new(paths.identity()),
            resolv_conf: ResolvConf::parse(&resolv_conf),
            // A program that was replaced while it ran has no path any more.
            program: std::env::current_exe()
                .ok()
                .filter(|program| program.exists()),
            told: self.told.clone(),
            renew: self.renew.clone(),
            clock: self.clock.clone(),
            seed: rand::random(),
        };
        let stop = CancellationToken::new();
        let (tell, ended) = watch::channel(None);
        let running = run(config, runtime.clone(), plane, stop.clone());
        tokio::spawn(async move {
            let outcome = running
                .await
                .map_err(|err| format!("{:#}", anyhow::Error::from(err)));
            tell.send_replace(Some(outcome));
        });
        Ok(Worker {
            stop,
            ended,
            runtime,
            ways,
            known: file.managers.clone(),
        })
    }
}

impl Worker {
    /// Where managers are reached, as told last.
    pub(crate) fn managers(&self) -> Vec<SocketAddr> {
        match Db::new(&self.ways.state_dir).load() {
            Ok(Some(desired)) if !desired.managers.is_empty() => desired.managers,
            Ok(_) | Err(_) => self.known.clone(),
        }
    }

    /// Returns, with the reason, only if the worker ended although nobody asked it to.
    pub(crate) async fn failed(&self) -> String {
        let mut ended = self.ended.clone();
        let failed = ended.wait_for(|ended| matches!(ended, Some(Err(_)))).await;
        match failed.map(|why| why.clone()) {
            Ok(Some(Err(why))) => why,
            Ok(Some(Ok(())) | None) | Err(_) => std::future::pending().await,
        }
    }

    /// Ends it; tasks and networks stay.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        // An error means that it is gone.
        drop(self.ended.clone().wait_for(Option::is_some).await);
    }

    /// Ends it, with all tasks and networks. What could not be removed is returned.
    pub(crate) async fn clear(&self) -> Vec<String> {
        self.stop().await;
        let runtime = self.runtime.clone();
        match self.ways.open().await {
            Ok(mut plane) => clear(&self.ways.state_dir, runtime, &mut plane).await,
            Err(err) => vec![format!("{err:#}")],
        }
    }
}
