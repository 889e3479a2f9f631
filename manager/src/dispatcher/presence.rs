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

/// How long an agent is refused after the leader said that another one has its identity.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// Most of those that are remembered.
const MAX_REFUSED: usize = 1024;

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
    /// Nodes of which a second agent came, and when it was refused last.
    doubled: BTreeMap<NodeId, Instant>,
    /// Agents that are refused until then.
    refused: BTreeMap<(NodeId, u64), Instant>,
}

#[derive(Debug)]
struct Entry {
    session: u64,
    heard: Instant,
    applied: u64,
    key_epoch: u64,
    instance: u64,
    replaced: CancellationToken,
    moves: mpsc::Sender<wire::Move>,
    asked: Option<Instant>,
    doubled: CancellationToken,
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
    /// Cancelled when another agent with the same identity keeps the place.
    pub(super) doubled: CancellationToken,
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
        seats.doubled.retain(|_, at| recent(at));
        let doubled = seats.doubled.clone();
        let heard =
            |node: &NodeId, at: Instant, applied_revision, key_epoch, gone, instance| wire::Heard {
                node_id: node.to_string(),
                age_ms: u64::try_from(now.saturating_duration_since(at).as_millis())
                    .unwrap_or(u64::MAX),
                applied_revision,
                gone,
                key_epoch,
                instance,
                doubled: doubled.contains_key(node),
            };
        let here = seats.taken.iter();
        let here = here.map(|(node, entry)| {
            heard(
                node,
                entry.heard,
                entry.applied,
                entry.key_epoch,
                false,
                entry.instance,
            )
        });
        let broken = seats.broken.iter();
        here.chain(broken.map(|(node, at)| heard(node, *at, 0, 0, true, 0)))
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

    /// When the agent that has a node's place was heard last, if it is another one than that with
    /// this number. 0: an agent of an earlier release, which has no number.
    pub(super) fn rival(&self, node: NodeId, instance: u64) -> Option<Instant> {
        let seats = self.seats.lock();
        let entry = seats.taken.get(&node)?;
        let other = entry.instance != instance && entry.instance != 0 && instance != 0;
        other.then_some(entry.heard)
    }

    /// A second agent of this node was refused; the leader is told.
    pub(super) fn alarm(&self, node: NodeId) {
        self.seats.lock().doubled.insert(node, Instant::now());
    }

    /// Whether an agent is to be refused.
    pub(super) fn is_refused(&self, node: NodeId, instance: u64) -> bool {
        let seats = self.seats.lock();
        let until = seats.refused.get(&(node, instance));
        until.is_some_and(|until| *until > Instant::now())
    }

    /// Refuses agents from now on whose identity others have: the leader said so. Their sessions end.
    pub fn refuse(&self, agents: &[wire::RefusedAgent]) {
        if agents.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut seats = self.seats.lock();
        seats.refused.retain(|_, until| *until > now);
        for agent in agents {
            let Ok(node) = agent.node_id.parse::<NodeId>() else {
                continue;
            };
            let key = (node, agent.instance);
            if seats.refused.len() < MAX_REFUSED || seats.refused.contains_key(&key) {
                seats.refused.insert(key, now + REFUSED_FOR);
            }
            if let Some(entry) = seats.taken.get(&node)
                && entry.instance == agent.instance
            {
                entry.doubled.cancel();
            }
        }
    }

    /// Gives the node's place to a new session; an older one is told to end.
    pub(super) fn enter(self: &Arc<Self>, node: NodeId, instance: u64) -> Seat {
        let (replaced, doubled) = (CancellationToken::new(), CancellationToken::new());
        let (ask, moves) = mpsc::channel(1);
        let mut seats = self.seats.lock();
        seats.last += 1;
        let session = seats.last;
        let entry = Entry {
            session,
            heard: Instant::now(),
            applied: 0,
            key_epoch: 0,
            instance,
            replaced: replaced.clone(),
            moves: ask,
            asked: None,
            doubled: doubled.clone(),
        };
        seats.broken.remove(&node);
        if let Some(old) = seats.taken.insert(node, entry) {
            // An agent that lost its connection comes back like this.
            tracing::warn!(%node, "a second session of this node began, the first one ends");
            old.replaced.cancel();
        }
        Seat {
            presence: Arc::clone(self),
            node,
            session,
            replaced,
            moves,
            doubled,
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

impl Seat {
    /// The agent said that it holds the keys of the data plane up to `epoch`.
    pub(super) fn holds_keys(&self, epoch: u64) {
        let mut seats = self.presence.seats.lock();
        if let Some(entry) = seats.taken.get_mut(&self.node)
            && entry.session == self.session
        {
            entry.key_epoch = epoch;
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
