//! A cluster in one process: every member has a runtime of its own, so that it can be killed,
//! and talks over real connections on loopback.
#![allow(dead_code, reason = "each test binary uses a part")]
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

mod wires;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio::time::sleep;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_raft::Applied;
use weft_raft::Capture;
use weft_raft::Member;
use weft_raft::ProposeError;
use weft_raft::RaftConfig;
use weft_raft::RaftId;
use weft_raft::RaftNode;
use weft_raft::RestoreError;
use weft_raft::StartError;
use weft_raft::StateMachine;
use wires::Wired;
use wires::Wires;

/// How long anything may take on a busy machine before a test gives up.
pub(crate) const CEILING: Duration = Duration::from_secs(30);

/// "key=value" commands; a key that is there already is left alone, so retries are harmless.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) map: Mutex<BTreeMap<String, String>>,
}

impl StateMachine for Store {
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(command);
        let (key, value) = text.split_once('=').unwrap();
        let mut map = self.map.lock().unwrap();
        map.entry(key.to_owned()).or_insert(value.to_owned());
        index.to_be_bytes().to_vec()
    }

    fn advance(&self, _index: u64) {}

    fn snapshot(&self) -> Capture {
        let map = self.map.lock().unwrap().clone();
        Box::new(move |out| {
            map.iter()
                .try_for_each(|(key, value)| writeln!(out, "{key}={value}"))
        })
    }

    fn restore(&self, _index: u64, bytes: &mut dyn Read) -> Result<(), RestoreError> {
        let mut text = String::new();
        bytes
            .read_to_string(&mut text)
            .map_err(|e| RestoreError(Box::new(e)))?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        *self.map.lock().unwrap() = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Ok(())
    }
}

/// A member that runs.
pub(crate) struct Running {
    pub(crate) node: RaftNode,
    pub(crate) store: Arc<Store>,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A member that may run.
pub(crate) struct Host {
    pub(crate) member: Member,
    pub(crate) config: RaftConfig,
    running: Option<Running>,
}

pub(crate) struct Cluster {
    pub(crate) id: ClusterId,
    dir: TempDir,
    pub(crate) hosts: BTreeMap<u64, Host>,
    snapshot_every: u64,
    pub(crate) wires: Arc<Wires>,
}

pub(crate) fn id(number: u64) -> RaftId {
    RaftId(number)
}

/// Polls until `check` yields something.
pub(crate) async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + CEILING;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

impl Cluster {
    /// One member, which leads.
    pub(crate) async fn of_one(snapshot_every: u64) -> Cluster {
        let mut cluster = Cluster {
            id: ClusterId::from_entropy(42),
            dir: tempfile::tempdir().unwrap(),
            hosts: BTreeMap::new(),
            snapshot_every,
            wires: Wires::new(),
        };
        cluster.add_host(1).await;
        cluster.start(1).await.unwrap();
        cluster.node(1).bootstrap().await.unwrap();
        cluster
    }

    /// Members 1, 2, 3, all voting.
    pub(crate) async fn of_three(snapshot_every: u64) -> Cluster {
        let mut cluster = Cluster::of_one(snapshot_every).await;
        for number in [2, 3] {
            cluster.join(number).await;
        }
        cluster
    }

    /// A new member joins as learner and is promoted.
    pub(crate) async fn join(&mut self, number: u64) {
        self.add_host(number).await;
        self.start(number).await.unwrap();
        let member = self.hosts[&number].member;
        let leader = self.leader().await;
        self.node(leader).add_learner(member).await.unwrap();
        self.node(leader)
            .promote(id(number), CEILING)
            .await
            .unwrap();
    }

    pub(crate) async fn add_host(&mut self, number: u64) {
        let member = Member {
            raft_id: id(number),
            node_id: NodeId::from_entropy(u128::from(number)),
            addr: free_addr().await,
        };
        let mut config = RaftConfig::new(member, self.id, self.host_dir(number));
        config.snapshot_every = self.snapshot_every;
        config.keep_entries = 10;
        let host = Host {
            member,
            config,
            running: None,
        };
        self.hosts.insert(number, host);
    }

    pub(crate) fn host_dir(&self, number: u64) -> PathBuf {
        self.dir.path().join(number.to_string())
    }

    /// Starts a member, waiting until a killed predecessor has left its directory and port.
    pub(crate) async fn start(&mut self, number: u64) -> Result<(), StartError> {
        let host = self.hosts.get_mut(&number).unwrap();
        let deadline = Instant::now() + CEILING;
        let listener = loop {
            match TcpListener::bind(host.member.addr).await {
                Ok(listener) => break listener.into_std().unwrap(),
                Err(e) => assert!(Instant::now() < deadline, "{e}"),
            }
            sleep(Duration::from_millis(20)).await;
        };
        loop {
            let listener = listener.try_clone().unwrap();
            match launch(host.config.clone(), listener, &self.wires).await {
                Err(StartError::OpenLog { .. }) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
                Ok(running) => {
                    host.running = Some(running);
                    return Ok(());
                }
            }
        }
    }

    pub(crate) fn node(&self, number: u64) -> &RaftNode {
        &self.running(number).node
    }

    pub(crate) fn running(&self, number: u64) -> &Running {
        self.hosts[&number].running.as_ref().unwrap()
    }

    pub(crate) fn alive(&self) -> Vec<u64> {
        let alive = self.hosts.iter().filter(|(_, h)| h.running.is_some());
        alive.map(|(number, _)| *number).collect()
    }

    /// Tears the member's runtime down without a word.
    pub(crate) fn kill(&mut self, number: u64) {
        drop(self.hosts.get_mut(&number).unwrap().running.take());
    }

    /// Stops the member in an orderly way.
    pub(crate) async fn stop(&mut self, number: u64) {
        let running = self.hosts.get_mut(&number).unwrap().running.take().unwrap();
        running.node.shutdown().await;
    }

    /// The member that a majority of the running ones follow.
    pub(crate) async fn leader(&self) -> u64 {
        eventually("a leader that holds its office", || {
            let now = Instant::now();
            self.alive()
                .into_iter()
                .find(|n| self.node(*n).status().borrow().holds_office(now))
        })
        .await
    }

    /// Writes wherever the leader is, until it is acknowledged.
    pub(crate) async fn write(&self, key: &str, value: &str) -> Applied {
        let command = format!("{key}={value}").into_bytes();
        let deadline = Instant::now() + CEILING;
        let mut at = self.alive()[0];
        loop {
            match self.node(at).propose(command.clone()).await {
                Ok(applied) => return applied,
                Err(ProposeError::NotLeader {
                    leader: Some(leader),
                }) if self.alive().contains(&leader.raft_id.0) => at = leader.raft_id.0,
                Err(error) => {
                    assert!(Instant::now() < deadline, "{key} was not written: {error}");
                    let alive = self.alive();
                    let next = alive.iter().find(|n| **n > at);
                    at = *next.unwrap_or(&alive[0]);
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Cuts every wire of a member: what it says, what it hears, or both.
    pub(crate) fn cut(&self, number: u64, mute: bool, deaf: bool) {
        for other in self.alive().into_iter().filter(|n| *n != number) {
            if mute {
                self.wires.cut(number, other);
            }
            if deaf {
                self.wires.cut(other, number);
            }
        }
    }

    /// Waits until every running member has applied everything acknowledged so far.
    pub(crate) async fn settle(&self) {
        let deadline = Instant::now() + CEILING;
        let index = loop {
            let leader = self.leader().await;
            match self.node(leader).read_index().await {
                Ok(index) => break index,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        for number in self.alive() {
            self.node(number)
                .wait_applied(index, deadline)
                .await
                .unwrap_or_else(|e| panic!("member {number}: {e}"));
        }
    }

    pub(crate) fn get(&self, number: u64, key: &str) -> Option<String> {
        let map = self.running(number).store.map.lock().unwrap();
        map.get(key).cloned()
    }

    pub(crate) fn assert_same_everywhere(&self) {
        let states: Vec<_> = self
            .alive()
            .into_iter()
            .map(|n| self.running(n).store.map.lock().unwrap().clone())
            .collect();
        assert!(
            states.windows(2).all(|pair| pair[0] == pair[1]),
            "the members' states differ"
        );
    }
}

async fn launch(
    config: RaftConfig,
    listener: std::net::TcpListener,
    wires: &Arc<Wires>,
) -> Result<Running, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(format!("member-{}", config.me.raft_id))
        .enable_all()
        .build()
        .unwrap();
    let store = Arc::new(Store::default());
    let app: Arc<dyn StateMachine> = store.clone();
    let dialer = Arc::new(Wired {
        from: config.me.raft_id.0,
        wires: Arc::clone(wires),
    });
    let started = runtime.spawn(async move {
        let node = RaftNode::start(config, app, dialer).await?;
        let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
        let server = Server::builder().add_service(node.service());
        tokio::spawn(server.serve_with_incoming(incoming));
        Ok(node)
    });
    let started = started.await.unwrap();
    match started {
        Ok(node) => Ok(Running {
            node,
            store,
            runtime: Some(runtime),
        }),
        Err(error) => {
            runtime.shutdown_background();
            Err(error)
        }
    }
}
