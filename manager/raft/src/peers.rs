//! The other members: their addresses, and pooled connections to them.

use crate::gate::Gate;
use crate::member::Member;
use crate::member::RaftId;
use crate::set_back::Acknowledged;
use crate::succession;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use weft_proto::ClusterId;
use weft_proto::wire;

/// A connection that failed every call for this long is dialled anew, instead of waiting until
/// TCP gives it up after minutes. Longer than a pause of a busy machine.
const GIVE_UP: Duration = Duration::from_secs(2);

/// Reaches other members.
pub trait Dialer: Send + Sync + 'static {
    /// A channel to `member`, connected when first used, authenticated both ways; it must check
    /// that the other side is the node the member names. Called once per peer and purpose, and
    /// again when the address changes or a connection is dead; must not block.
    fn channel(&self, member: &Member) -> Channel;

    /// Whether `member`'s machine says, soon, that nobody listens there any more: its process is
    /// gone. False for whatever else it may be.
    fn refuses(&self, member: &Member) -> BoxFuture<'static, bool> {
        Box::pin(succession::refuses(member.addr))
    }
}

/// What a connection is for. Separate connections, so that bulk never delays a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Votes, heartbeats, transfer of the office.
    Control,
    /// Log entries.
    Entries,
    /// Snapshots.
    Bulk,
}

/// Everything about other members that outlives a single call.
pub(crate) struct Peers {
    me: RaftId,
    cluster: ClusterId,
    dialer: Arc<dyn Dialer>,
    book: RwLock<BTreeMap<RaftId, Member>>,
    pool: Mutex<BTreeMap<(RaftId, Purpose), Pooled>>,
    pub(crate) gate: Gate,
    /// What they acknowledged to this member.
    pub(crate) acknowledged: Acknowledged,
    /// Without progress for this long, a stream of entries is broken off.
    pub(crate) patience: Duration,
}

struct Pooled {
    addr: SocketAddr,
    channel: Channel,
    failing_since: Option<Instant>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("me", &self.me)
            .field("book", &self.book)
            .finish_non_exhaustive()
    }
}

impl Peers {
    pub(crate) fn new(
        me: RaftId,
        cluster: ClusterId,
        dialer: Arc<dyn Dialer>,
        gate: Gate,
        patience: Duration,
    ) -> Self {
        Peers {
            me,
            cluster,
            dialer,
            book: RwLock::new(BTreeMap::new()),
            pool: Mutex::new(BTreeMap::new()),
            gate,
            acknowledged: Acknowledged::default(),
            patience,
        }
    }

    /// The header of a call to `to`.
    pub(crate) fn header(&self, to: RaftId) -> wire::RaftHeader {
        wire::RaftHeader {
            cluster: self.cluster.to_string(),
            from: self.me.0,
            to: to.0,
            acknowledged: None,
        }
    }

    /// Records addresses. Clients live as long as a leader's term, so they look their peer up
    /// here for every call instead of keeping what they were made with.
    pub(crate) fn learn<'a>(&self, members: impl IntoIterator<Item = &'a Member>) {
        for member in members {
            let known = self.book.read().get(&member.raft_id) == Some(member);
            if !known {
                self.book.write().insert(member.raft_id, *member);
            }
        }
    }

    /// The pooled channel to a member; `None` for a member nobody told us about.
    pub(crate) fn channel(&self, id: RaftId, purpose: Purpose) -> Option<Channel> {
        let member = *self.book.read().get(&id)?;
        let mut pool = self.pool.lock();
        if let Some(pooled) = pool.get(&(id, purpose))
            && pooled.addr == member.addr
        {
            return Some(pooled.channel.clone());
        }
        let channel = self.dialer.channel(&member);
        let pooled = Pooled {
            addr: member.addr,
            channel: channel.clone(),
            failing_since: None,
        };
        pool.insert((id, purpose), pooled);
        Some(channel)
    }

    /// Tells how a call went, so that a dead connection is replaced.
    pub(crate) fn report(&self, id: RaftId, purpose: Purpose, ok: bool, now: Instant) {
        let mut pool = self.pool.lock();
        let Some(pooled) = pool.get_mut(&(id, purpose)) else {
            return;
        };
        if ok {
            pooled.failing_since = None;
            return;
        }
        let since = *pooled.failing_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= GIVE_UP {
            pool.remove(&(id, purpose));
        }
    }
}
