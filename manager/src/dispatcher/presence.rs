//! Which agents hold a session with this manager, and when they were heard.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_proto::NodeId;
use weft_proto::wire;

/// How long a broken session is told of: as long as the leader may need to hear of it.
const TOLD_FOR: Duration = Duration::from_secs(10);

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
    key_epoch: u64,
    replaced: CancellationToken,
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
        let heard = |node: &NodeId, at: Instant, applied_revision, key_epoch, gone| wire::Heard {
            node_id: node.to_string(),
            age_ms: u64::try_from(now.saturating_duration_since(at).as_millis())
                .unwrap_or(u64::MAX),
            applied_revision,
            gone,
            key_epoch,
        };
        let here = seats.taken.iter();
        let here = here
            .map(|(node, entry)| heard(node, entry.heard, entry.applied, entry.key_epoch, false));
        let broken = seats.broken.iter();
        here.chain(broken.map(|(node, at)| heard(node, *at, 0, 0, true)))
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
        let mut seats = self.seats.lock();
        seats.last += 1;
        let session = seats.last;
        let entry = Entry {
            session,
            heard: Instant::now(),
            applied: 0,
            key_epoch: 0,
            replaced: replaced.clone(),
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
            broke: AtomicBool::new(false),
        }
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
