//! Managers in this process: each with its own log on disk, its own state and its own loops. They
//! talk through sockets in their directory.

use crate::simulated::objects;
use anyhow::Context;
use anyhow::ensure;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::service_fn;
use weft_manager::ca::Founding;
use weft_manager::ca::bootstrap;
use weft_manager::consensus::StoreMachine;
use weft_manager::leader::ControlLoops;
use weft_manager::leader::Liveness;
use weft_manager::store::Store;
use weft_proto::ClusterId;
use weft_proto::CommandId;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::CommandResult;
use weft_proto::convert::decode_result;
use weft_proto::defaults;
use weft_proto::object::Node;
use weft_proto::object::NodeDescription;
use weft_proto::object::Object;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::wire;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftConfig;
use weft_raft::RaftId;
use weft_raft::RaftNode;

/// How long the managers may take to become one group.
const FOUNDING: Duration = Duration::from_secs(60);

/// Managers that run in this process until dropped.
pub(crate) struct Managers {
    members: Vec<One>,
    /// The founder's record, which others are modelled on.
    founder: Node,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

struct One {
    raft: RaftNode,
    store: Arc<Store>,
    liveness: Arc<Liveness>,
}

/// Finds a member's socket by its number.
struct Sockets(PathBuf);

impl Sockets {
    fn path(&self, id: RaftId) -> PathBuf {
        self.0.join(format!("{id}.sock"))
    }
}

impl Dialer for Sockets {
    fn channel(&self, member: &Member) -> Channel {
        let path = self.path(member.raft_id);
        let connect = move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        };
        // The name is never looked up: the connector knows where to go.
        Endpoint::from_static("http://weft.invalid")
            .connect_with_connector_lazy(service_fn(connect))
    }
}

impl Managers {
    /// A group of `count` managers with their logs below `dir`, all voting.
    pub(crate) async fn start(dir: &Path, count: u16) -> anyhow::Result<Managers> {
        let mut settings = defaults::settings();
        // Room for thousands of nodes, each with a /24 of it.
        settings.ingress_pool = "100.64.0.0/10".parse()?;
        let founding = bootstrap(Founding {
            unlock_key: None,
            settings,
            description: NodeDescription::from(wire::NodeDescription {
                hostname: "sim-1".to_owned(),
                os: "linux".to_owned(),
                arch: "x86_64".to_owned(),
                version: "0.1.0".to_owned(),
                resources: Some(wire::Resources {
                    nano_cpus: 64_000_000_000,
                    memory_bytes: 256 << 30,
                }),
                runtimes: vec!["process".to_owned()],
                ..Default::default()
            }),
            data_addr: IpAddr::V4(objects::address(1)),
            advertise_addr: (objects::address(1), 2377).into(),
            now: SystemClock.now(),
            cluster: rand::random(),
            node: 1,
        })?;
        let cluster = founding.credentials.identity().cluster;
        let founder = founding.changes.iter().find_map(|change| match change {
            Change::Put {
                object: Object::Node(node),
                ..
            } => Some(node.clone()),
            Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => None,
        });
        let founder = founder.context("a cluster begins with a node")?;
        let mut managers = Managers {
            members: Vec::new(),
            founder: objects::worker(&founder, 1, Some(1))?,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        for number in 1..=count {
            managers.add(dir, cluster, number).await?;
        }
        managers.member(0)?.raft.bootstrap().await?;
        // The record of the founder is replaced at once by one that takes no tasks.
        managers
            .propose(founding.changes)
            .await?
            .context("the first entry")?;
        let raft_ids = (1..=count).map(|n| (n, Some(u64::from(n))));
        let nodes = raft_ids.map(|(number, id)| objects::worker(&managers.founder, number, id));
        let put = |node: Node| Change::Put {
            object: node.into(),
            expect: weft_proto::command::Expect::Any,
        };
        let nodes: Vec<Change> = nodes.map(|node| node.map(put)).collect::<Result<_, _>>()?;
        managers.propose(nodes).await?.context("the managers")?;
        managers.wait_for_voters(count).await?;
        Ok(managers)
    }

    async fn add(&mut self, dir: &Path, cluster: ClusterId, number: u16) -> anyhow::Result<()> {
        let sockets = Sockets(dir.to_owned());
        let me = Member {
            raft_id: RaftId(number.into()),
            node_id: NodeId::from_entropy(number.into()),
            addr: (objects::address(number), 2377).into(),
        };
        let listener = UnixListener::bind(sockets.path(me.raft_id))?;
        let store = Arc::new(Store::default());
        let config = RaftConfig::new(me, cluster, dir.join(number.to_string()));
        let machine = Arc::new(StoreMachine(store.clone()));
        let raft = RaftNode::start(config, machine, Arc::new(sockets)).await?;
        let stop = self.stop.clone().cancelled_owned();
        let serving = tonic::transport::Server::builder()
            .add_service(raft.service())
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop);
        self.tasks.spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("a simulated manager's server ended: {error}");
            }
        });
        let liveness = Arc::new(Liveness::default());
        let loops = ControlLoops {
            raft: raft.clone(),
            store: store.clone(),
            liveness: liveness.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(rand::random::<u128>),
        };
        self.tasks.spawn(loops.run(self.stop.clone()));
        self.members.push(One {
            raft,
            store,
            liveness,
        });
        Ok(())
    }

    async fn wait_for_voters(&self, count: u16) -> anyhow::Result<()> {
        let deadline = Instant::now() + FOUNDING;
        let voting = || {
            let leader = self.leader()?;
            Some(leader.raft.status().borrow().voters.len())
        };
        while voting() != Some(count.into()) {
            ensure!(
                Instant::now() < deadline,
                "the managers did not become one group"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The state on the first manager.
    pub(crate) fn store(&self) -> anyhow::Result<Arc<Store>> {
        Ok(self.member(0)?.store.clone())
    }

    /// The record that simulated nodes are modelled on.
    pub(crate) fn founder(&self) -> &Node {
        &self.founder
    }

    /// All managers heard these nodes just now.
    pub(crate) fn heard(&self, nodes: &[wire::Heard]) {
        for member in &self.members {
            member.liveness.heard(nodes, Instant::now());
        }
    }

    /// Makes changes state by way of the leader. The outer error is that of the log.
    pub(crate) async fn propose(&self, changes: Vec<Change>) -> anyhow::Result<CommandResult> {
        let command = Command {
            id: CommandId::from_entropy(rand::random()),
            at: SystemClock.timestamp(),
            changes,
            actor: None,
        };
        let leader = self.leader().context("no simulated manager leads")?;
        let applied = leader.raft.propose(command.encode()).await?;
        Ok(decode_result(&applied.response)?)
    }

    fn leader(&self) -> Option<&One> {
        self.members
            .iter()
            .find(|member| member.raft.status().borrow().is_leader)
    }

    fn member(&self, index: usize) -> anyhow::Result<&One> {
        self.members.get(index).context("no such manager")
    }

    /// Ends the managers and frees their directories.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for member in &self.members {
            member.raft.shutdown().await;
        }
        self.tasks.shutdown().await;
    }
}
