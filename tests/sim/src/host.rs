//! A manager: everything of a real one but its certificates, on a disk and a network in memory.

use crate::dice::Dice;
use crate::net::Life;
use crate::net::Net;
use crate::net::Place;
use crate::sabotage::Sabotage;
use crate::sabotage::SabotagedProposer;
use crate::truth::Truth;
use crate::truth::Witness;
use crate::violations::Violations;
use futures::future::BoxFuture;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::transport::Server;
use weft_manager::consensus::ClusterProposer;
use weft_manager::consensus::StoreMachine;
use weft_manager::dispatcher::Dispatcher;
use weft_manager::dispatcher::Pace;
use weft_manager::dispatcher::Parts;
use weft_manager::dispatcher::Presence;
use weft_manager::entropy::Entropy;
use weft_manager::leader::Balance;
use weft_manager::leader::ControlLoops;
use weft_manager::leader::Liveness;
use weft_manager::logs::LogBroker;
use weft_manager::peer::PeerService;
use weft_manager::propose::Proposer;
use weft_manager::run::Reporting;
use weft_manager::store::Store;
use weft_pki::NodeIdentity;
use weft_pki::PeerIdentity;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::time::Clock;
use weft_proto::wire::peer_server::PeerServer;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftConfig;
use weft_raft::RaftId;
use weft_raft::RaftNode;
use weft_raft::sim::SimDisk;

/// Entries between two snapshots: few, so that members that were away get one.
const SNAPSHOT_EVERY: u64 = 100;
/// Entries kept behind a snapshot.
const KEEP: u64 = 10;

/// The cluster that every simulation is of.
pub fn cluster_id() -> ClusterId {
    ClusterId::from_entropy(42)
}

/// The node at a place.
pub fn node_id(place: Place) -> NodeId {
    NodeId::from_entropy(u128::from(place.0))
}

/// Where a manager is reached, as far as addresses are looked at at all.
pub fn addr(place: Place) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(place.0).unwrap_or(255)], 2377))
}

/// The manager at an address.
pub fn place_of(addr: SocketAddr) -> Option<Place> {
    match addr {
        SocketAddr::V4(v4) => Some(Place(v4.ip().octets()[3].into())),
        SocketAddr::V6(_) => None,
    }
}

/// Simulated time of day, which may be wrong by any amount.
#[derive(Debug)]
pub struct SimClock {
    begun: Instant,
    /// By how much it is wrong, in milliseconds.
    pub skew_ms: AtomicI64,
}

impl SimClock {
    /// A clock that is right, as far as there is such a thing.
    pub fn new(begun: Instant) -> SimClock {
        let skew_ms = AtomicI64::new(0);
        SimClock { begun, skew_ms }
    }
}

impl Clock for SimClock {
    fn now(&self) -> SystemTime {
        // The year 2033, so that no skew reaches before the epoch.
        let right = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let skew = self.skew_ms.load(Ordering::Relaxed);
        let right = right + self.begun.elapsed();
        let by = Duration::from_millis(skew.unsigned_abs());
        if skew < 0 { right - by } else { right + by }
    }
}

struct SimEntropy(Dice);

impl Entropy for SimEntropy {
    fn bits(&self) -> u128 {
        u128::from(self.0.bits()) << 64 | u128::from(self.0.bits())
    }
}

struct SimDialer(Life);

impl Dialer for SimDialer {
    fn channel(&self, member: &Member) -> Channel {
        self.0.channel(Place(member.raft_id.0))
    }

    fn refuses(&self, member: &Member) -> BoxFuture<'static, bool> {
        Box::pin(self.0.clone().refuses(Place(member.raft_id.0)))
    }
}

/// What a machine has whether its manager runs or not.
#[derive(Debug)]
pub struct Host {
    /// Where it is; also its number in the log.
    pub place: Place,
    /// Its disk.
    pub disk: SimDisk,
    /// Its clock.
    pub clock: Arc<SimClock>,
    /// Its manager, if that runs.
    pub running: Option<Running>,
    dir: PathBuf,
    started: u64,
    net: Net,
    dice: Dice,
    truth: Truth,
    violations: Violations,
    sabotage: Sabotage,
}

/// A manager that runs. Clones are the same one.
#[derive(Clone)]
pub struct Running {
    /// Its part in the log.
    pub raft: RaftNode,
    /// Its replica.
    pub store: Arc<Store>,
    /// What its users use.
    pub proposer: Arc<dyn Proposer>,
    /// Where its identifiers come from.
    pub entropy: Arc<dyn Entropy>,
    /// Its machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when it dies.
    pub dead: CancellationToken,
    /// Which of all lives of managers this is.
    pub who: String,
    tasks: Arc<parking_lot::Mutex<JoinSet<()>>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

/// What all hosts of a run share.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The network.
    pub net: Net,
    /// What replicas are compared with.
    pub truth: Truth,
    /// Where broken invariants go.
    pub violations: Violations,
    /// Where directories are.
    pub dir: PathBuf,
    /// What is broken on purpose.
    pub sabotage: Sabotage,
    /// When the run began.
    pub begun: Instant,
}

impl Host {
    /// A machine whose manager does not run yet.
    pub fn new(place: Place, around: &Surroundings, dice: &Dice) -> Host {
        let dice = dice.fork();
        let disk = SimDisk::new();
        let pace = dice.fork();
        disk.set_sync_time(Box::new(move || pace.millis(0, 3)));
        disk.set_lying(around.sabotage == Sabotage::AcknowledgesBeforeSync);
        Host {
            place,
            disk,
            clock: Arc::new(SimClock::new(around.begun)),
            running: None,
            dir: around.dir.join(place.0.to_string()),
            started: 0,
            net: around.net.clone(),
            dice,
            truth: around.truth.clone(),
            violations: around.violations.clone(),
            sabotage: around.sabotage,
        }
    }

    /// Starts the manager with what is on the disk.
    pub async fn start(&mut self) {
        self.kill();
        self.started += 1;
        let who = format!("manager {} (start {})", self.place.0, self.started);
        match self.launch(who.clone()).await {
            Ok(running) => self.running = Some(running),
            Err(error) => self.violations.add(format!("{who} did not start: {error}")),
        }
    }

    async fn launch(&self, who: String) -> Result<Running, weft_raft::StartError> {
        let life = self.net.begin(self.place);
        let dead = CancellationToken::new();
        let store = Arc::new(Store::default());
        let machine = Witness {
            who: who.clone(),
            inner: self
                .sabotage
                .machine(Arc::new(StoreMachine(store.clone())), self.place),
            store: store.clone(),
            truth: self.truth.clone(),
            dead: dead.clone(),
        };
        let me = Member {
            raft_id: RaftId(self.place.0),
            node_id: node_id(self.place),
            addr: addr(self.place),
        };
        let dir = self.dir.join(self.started.to_string());
        let before = self.dir.join((self.started - 1).to_string());
        // A life that is over may still finish a snapshot, and must not disturb this one.
        copy_snapshot(&before, &dir);
        let mut config = RaftConfig::new(me, cluster_id(), dir);
        config.snapshot_every = SNAPSHOT_EVERY;
        config.keep_entries = KEEP;
        let dialer: Arc<dyn Dialer> = Arc::new(SimDialer(life.clone()));
        let machine = Arc::new(machine);
        let raft = RaftNode::start_simulated(config, &self.disk, machine, dialer.clone()).await?;
        let entropy: Arc<dyn Entropy> = Arc::new(SimEntropy(self.dice.fork()));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (cluster, proposals) = ClusterProposer::new(
            raft.clone(),
            store.clone(),
            dialer,
            clock.clone(),
            entropy.clone(),
        );
        let mut proposer: Arc<dyn Proposer> = cluster.clone();
        if self.sabotage == Sabotage::ReadsWithoutReadIndex {
            proposer = Arc::new(SabotagedProposer {
                inner: cluster.clone(),
                store: store.clone(),
            });
        }
        let broker = Arc::new(LogBroker::new(store.clone()));
        let presence = Arc::new(Presence::default());
        let liveness = Arc::new(Liveness::default());
        let balance = Arc::new(Balance::new(store.clone()));
        let dispatcher = Dispatcher::new(Parts {
            store: store.clone(),
            proposer: proposer.clone(),
            clock: clock.clone(),
            logs: broker.clone(),
            presence: presence.clone(),
            shutdown: dead.clone(),
            pace: Pace::default(),
        });
        let agents = InterceptedService::new(dispatcher.service(), identified);
        let peer = PeerServer::new(PeerService::new(
            raft.clone(),
            cluster.clone(),
            liveness.clone(),
            balance.clone(),
            broker,
        ));
        let serving = Server::builder()
            .add_service(raft.service())
            .add_service(peer)
            .add_service(agents)
            .serve_with_incoming(UnboundedReceiverStream::new(life.listen()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(serving.await) });
        tasks.spawn(proposals.run(dead.clone()));
        tasks.spawn(async move { dispatcher.run().await });
        let reporting = Reporting {
            raft: raft.clone(),
            proposer: cluster,
            presence,
            liveness: liveness.clone(),
            balance,
        };
        tasks.spawn(reporting.run(drop, dead.clone()));
        let loops = ControlLoops {
            raft: raft.clone(),
            store: store.clone(),
            liveness,
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        tasks.spawn(loops.run(dead.clone()));
        Ok(Running {
            raft,
            store,
            proposer,
            entropy,
            clock,
            dead,
            who,
            tasks: Arc::new(parking_lot::Mutex::new(tasks)),
        })
    }

    /// Ends the manager as `kill -9` and a loss of power together would: what was not synced may be
    /// lost, and nobody hears of it any more.
    pub fn kill(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let dice = self.dice.clone();
        running.dead.cancel();
        self.net.kill(self.place);
        self.disk
            .crash(|unsynced| usize::try_from(dice.between(0, unsynced as u64)).unwrap_or(0));
        running.tasks.lock().abort_all();
        // Its tasks are openraft's own and cannot be torn down; cut off from everything they end.
        tokio::spawn(async move { running.raft.shutdown().await });
    }
}

fn copy_snapshot(from: &Path, to: &Path) {
    let name = Path::new("snapshot").join("current");
    let copied = fs::create_dir_all(to.join("snapshot"))
        .and_then(|()| fs::copy(from.join(&name), to.join(&name)));
    // There is none before the first one was built.
    drop(copied);
}

/// What the TLS listener does: puts the caller's identity beside the request.
#[expect(clippy::unnecessary_wraps, reason = "the shape of an interceptor")]
fn identified(mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
    let place = request.extensions().get::<Place>().copied();
    let node = place.map(|place| NodeIdentity {
        cluster: cluster_id(),
        role: Role::Worker,
        node: node_id(place),
    });
    let remote = addr(place.unwrap_or(Place(0)));
    request.extensions_mut().insert(PeerIdentity {
        node,
        user: None,
        remote,
        revoked: false,
    });
    Ok(request)
}
