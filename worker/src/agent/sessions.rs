//! One session after the other, with whichever manager answers.

use crate::agent::Managers;
use crate::agent::Outbox;
use crate::agent::Told;
use crate::agent::session::Ended;
use crate::agent::session::Orders;
use crate::agent::session::Session;
use crate::agent::session::Successor;
use crate::desired::Desired;
use crate::keys::KeyTable;
use crate::runtime::Runtime;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tracing::debug;
use tracing::info;
use tracing::warn;
use weft_proto::NodeId;
use weft_proto::key::TunnelKey;
use weft_proto::object::NodeDescription;
use weft_proto::wire;

/// A session that lasted this long worked; one that ends sooner is a failed try, so that a manager
/// whose every session breaks at once is not asked ten times a second.
const STEADY: Duration = Duration::from_secs(1);

/// The longest that a manager may spread moves over: it may be about to stop.
const MOVE_WITHIN: Duration = Duration::from_secs(10);

/// Makes channels to managers: `weft_pki::channel` with the node's credentials, or a test's own.
pub type Dial = Arc<dyn Fn(SocketAddr) -> Channel + Send + Sync>;

/// What the agent says of its node when a session begins.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The node.
    pub node: NodeId,
    /// What it is made of.
    pub description: NodeDescription,
    /// Where other nodes send its VXLAN packets.
    pub data_addr: IpAddr,
    /// What other nodes encrypt to it with.
    pub tunnel_key: TunnelKey,
    /// Drawn when the agent starts, never 0: tells it from another machine with the same identity.
    pub instance: u64,
}

/// Holds one session at a time, for ever; two only while it moves from one manager to another.
pub struct Agent {
    /// What is said first.
    pub hello: Hello,
    /// Whom to ask.
    pub managers: Managers,
    /// How to reach them.
    pub dial: Dial,
    /// What this node should be; only the agent writes it.
    pub desired: watch::Sender<Arc<Desired>>,
    /// What it shares with other nodes; only the agent writes it.
    pub keys: watch::Sender<Arc<KeyTable>>,
    /// What the cluster does not know yet.
    pub outbox: watch::Receiver<Outbox>,
    /// The revision up to which the node is as desired.
    pub applied: watch::Receiver<u64>,
    /// What managers say this node is.
    pub told: watch::Sender<Told>,
    /// Where output of tasks is read.
    pub runtime: Arc<dyn Runtime>,
    /// Seed of the order of managers and of pauses.
    pub seed: u64,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("hello", &self.hello)
            .field("managers", &self.managers)
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// Holds sessions until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut told = BTreeMap::new();
        while !shutdown.is_cancelled() {
            let known = self.desired.borrow().managers.clone();
            self.managers.learn(&known);
            let Some(addr) = self.managers.next(&mut rng) else {
                warn!("no manager is known; nothing to do");
                shutdown.cancelled().await;
                return;
            };
            let past = tokio::select! {
                () = shutdown.cancelled() => return,
                past = self.hold(addr, &mut rng) => past,
            };
            let Past {
                addr,
                began,
                begun_at,
                named,
                ended,
            } = past;
            self.managers.learn(&named);
            if let Ended::Removed(why) = &ended {
                self.told.send_replace(Told::Removed(why.clone()));
            }
            // The same trouble with the same manager is told once.
            let reason = ended.to_string();
            if told.get(&addr) == Some(&reason) && !began {
                debug!(manager = %addr, %reason, "still no session with this manager");
            } else {
                warn!(manager = %addr, %reason, "no session with this manager; trying the next");
                told.insert(addr, reason);
            }
            let pause = if began && begun_at.elapsed() >= STEADY {
                self.managers.lost(addr, &mut rng)
            } else {
                self.managers.failed(&mut rng)
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Holds a session, and those that managers hand it over to, until one ends by itself.
    async fn hold(&self, mut addr: SocketAddr, rng: &mut StdRng) -> Past {
        let (moves, mut asked) = mpsc::channel(1);
        let mut leave = CancellationToken::new();
        let orders = |leave: &CancellationToken| Orders {
            leave: leave.clone(),
            moves: moves.clone(),
        };
        let mut present = Box::pin(self.one(addr, orders(&leave), None));
        loop {
            let order = tokio::select! {
                past = &mut present => return past,
                Some(order) = asked.recv() => order,
            };
            let (to, wait) = pick(&order, rng);
            let Some(to) = to.filter(|to| *to != addr) else {
                continue;
            };
            tokio::select! {
                past = &mut present => return past,
                () = tokio::time::sleep(wait) => {}
            }
            let (took_over, took) = oneshot::channel();
            let next_leave = CancellationToken::new();
            let successor = Successor::new(took_over);
            let mut next = Box::pin(self.one(to, orders(&next_leave), Some(successor)));
            tokio::select! {
                // The next one is on its way already; what was known stays known.
                _ = &mut present => {}
                past = &mut next => {
                    warn!(manager = %to, reason = %past.ended, "did not take the session over");
                    continue;
                }
                Ok(()) = took => {
                    leave.cancel();
                    tokio::select! {
                        _ = &mut present => {}
                        past = &mut next => return past,
                    }
                }
            }
            info!(from = %addr, %to, "the session moved, as was asked for");
            (present, leave, addr) = (next, next_leave, to);
        }
    }

    async fn one(&self, addr: SocketAddr, orders: Orders, successor: Option<Successor>) -> Past {
        let mut session = Session::new(self, orders, successor);
        let begun_at = Instant::now();
        let ended = session.hold(addr).await;
        Past {
            addr,
            began: session.began,
            begun_at,
            named: session.named,
            ended,
        }
    }
}

/// A session that ended.
struct Past {
    addr: SocketAddr,
    /// Its snapshot was taken.
    began: bool,
    begun_at: Instant,
    /// The managers it named.
    named: Vec<SocketAddr>,
    ended: Ended,
}

/// Where to move, and after what pause.
fn pick(order: &wire::Move, rng: &mut impl Rng) -> (Option<SocketAddr>, Duration) {
    let addrs = order.manager_addrs.iter();
    let addrs: Vec<SocketAddr> = addrs.filter_map(|addr| addr.parse().ok()).collect();
    let within = Duration::from_millis(order.within_ms).min(MOVE_WITHIN);
    let wait = within.mul_f64(rng.random());
    (addrs.choose(rng).copied(), wait)
}
