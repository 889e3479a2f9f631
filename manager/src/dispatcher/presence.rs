//! Which agents hold a session with this manager, and when they were heard.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_proto::NodeId;
use weft_proto::wire;

/// How long a broken session is told of: as long as the leader may need to hear of it.
const TOLD_FOR: Duration = Duration::from_secs(10);
/// An agent that was asked to move and is still here so long after could not.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// Between two looks at who is left.
const LOOK: Duration = Duration::from_millis(20);

/// Which agents hold a session with this manager. Kept in memory only: it is true again a heartbeat
/// after a restart.
#[derive(Debug, Default)]
pub struct Presence {
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    last: u64,
    taken: BTreeMap<NodeId, Entry>,
    /// Nodes whose session broke, and when.
    broken: BTreeMap<NodeId, Instant>,
}

#[derive(Debug)]
struct Entry {
    session: u64,
    heard: Instant,
    applied: u64,
    replaced: CancellationToken,
    moves: mpsc::Sender<wire::Move>,
    asked: Option<Instant>,
}

/// A session's place. Dropping it frees the place, unless a newer session took it.
#[derive(Debug)]
pub(super) struct Seat {
    presence: Arc<Presence>,
    node: NodeId,
    /// Unique within this manager's life.
    pub(super) session: u64,
    /// Cancelled when a newer session of the same node began.
    pub(super) replaced: CancellationToken,
    /// What its agent is to be asked.
    pub(super) moves: mpsc::Receiver<wire::Move>,
    /// Its connection broke.
    broke: AtomicBool,
}

impl Presence {
    /// Every agent with a session here: when it was heard, and which revision it has applied; and
    /// those whose session broke. For the leader, which decides who is down.
    pub fn heard(&self) -> Vec<wire::Heard> {
        let now = Instant::now();
        let mut seats = self.seats.lock();
        let recent = |at: &Instant| now.saturating_duration_since(*at) < TOLD_FOR;
        seats.broken.retain(|_, at| recent(at));
        let heard = |node: &NodeId, at: Instant, applied_revision, gone| wire::Heard {
            node_id: node.to_string(),
            age_ms: u64::try_from(now.saturating_duration_since(at).as_millis())
                .unwrap_or(u64::MAX),
            applied_revision,
            gone,
        };
        let here = seats.taken.iter();
        let here = here.map(|(node, entry)| heard(node, entry.heard, entry.applied, false));
        let broken = seats.broken.iter();
        here.chain(broken.map(|(node, at)| heard(node, *at, 0, true)))
            .collect()
    }

    /// How many agents hold a session here.
    pub fn count(&self) -> usize {
        self.seats.lock().taken.len()
    }

    /// Whether a node's agent holds a session here.
    pub fn holds(&self, node: NodeId) -> bool {
        self.seats.lock().taken.contains_key(&node)
    }

    /// Asks as many agents as there are addresses to hold their session there instead, each at some
    /// time `within`. Not the one of `own`, this manager's node, and nobody again so soon.
    pub fn ask_to_move(&self, own: NodeId, to: &[String], within: Duration) {
        let now = Instant::now();
        let mut seats = self.seats.lock();
        let lately = |at: &Instant| now.saturating_duration_since(*at) < ASK_AGAIN;
        let free = seats.taken.iter_mut();
        let free =
            free.filter(|(node, entry)| **node != own && !entry.asked.as_ref().is_some_and(lately));
        for ((node, entry), addr) in free.zip(to) {
            tracing::info!(%node, to = addr, "this agent is asked to move");
            entry.ask(vec![addr.clone()], within);
        }
    }

    /// Asks all agents to go to any of `to`, and returns when they have, or after `within`.
    pub async fn hand_over(&self, to: &[SocketAddr], within: Duration) {
        let to: Vec<String> = to.iter().map(ToString::to_string).collect();
        let spread = within / 4;
        for entry in self.seats.lock().taken.values_mut() {
            entry.ask(to.clone(), spread);
        }
        let gone = async {
            while self.count() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        drop(tokio::time::timeout(within, gone).await);
    }

    /// Whether this very session goes on.
    pub(super) fn is_live(&self, node: NodeId, session: u64) -> bool {
        let seats = self.seats.lock();
        seats
            .taken
            .get(&node)
            .is_some_and(|entry| entry.session == session)
    }

    /// Gives the node's place to a new session; an older one is told to end.
    pub(super) fn enter(self: &Arc<Self>, node: NodeId) -> Seat {
        let replaced = CancellationToken::new();
        let (ask, moves) = mpsc::channel(1);
        let mut seats = self.seats.lock();
        seats.last += 1;
        let session = seats.last;
        let entry = Entry {
            session,
            heard: Instant::now(),
            applied: 0,
            replaced: replaced.clone(),
            moves: ask,
            asked: None,
        };
        seats.broken.remove(&node);
        if let Some(old) = seats.taken.insert(node, entry) {
            // An agent that lost its connection comes back like this; two machines with one
            // identity do so again and again.
            tracing::warn!(%node, "a second session of this node began, the first one ends");
            old.replaced.cancel();
        }
        Seat {
            presence: Arc::clone(self),
            node,
            session,
            replaced,
            moves,
            broke: AtomicBool::new(false),
        }
    }
}

impl Entry {
    fn ask(&mut self, manager_addrs: Vec<String>, within: Duration) {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        // One that was asked and has not read it yet is asked already.
        let _ = self.moves.try_send(wire::Move {
            manager_addrs,
            within_ms,
        });
        self.asked = Some(Instant::now());
    }
}

impl Seat {
    /// The connection broke without a farewell, as it does when the agent's process or machine
    /// dies. An agent that stops in order or moves on says so.
    pub(super) fn broke(&self) {
        self.broke.store(true, Ordering::Relaxed);
    }

    /// The agent was heard; with a heartbeat it said what it has applied.
    pub(super) fn heard(&self, applied: Option<u64>) {
        let mut seats = self.presence.seats.lock();
        if let Some(entry) = seats.taken.get_mut(&self.node)
            && entry.session == self.session
        {
            entry.heard = Instant::now();
            entry.applied = applied.unwrap_or(entry.applied);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.presence.seats.lock();
        if seats
            .taken
            .get(&self.node)
            .is_some_and(|entry| entry.session == self.session)
        {
            seats.taken.remove(&self.node);
            if self.broke.load(Ordering::Relaxed) {
                seats.broken.insert(self.node, Instant::now());
            }
        }
    }
}
