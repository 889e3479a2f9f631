//! What a member knows about itself and the cluster.

use crate::fault::Fault;
use crate::member::Member;
use crate::member::RaftId;
use crate::peers::Peers;
use crate::types::Metrics;
use crate::types::Raft;
use crate::types::ServerMetrics;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft_rt_tokio::TokioInstant as TheirInstant;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep;

/// Between two reports of progress alone: a small part of a heartbeat interval, which everybody who
/// looks at progress reckons with anyway.
const PROGRESS: Duration = Duration::from_millis(10);

/// What the leader knows about one other member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follower {
    /// Its log equals the leader's up to here, on disk; `None` until it has said so.
    pub matched: Option<u64>,
    /// When it last answered; `None` before it ever did.
    pub last_ack: Option<Instant>,
}

/// A member's view at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftStatus {
    /// This member.
    pub me: Member,
    /// The leader, if one is known.
    pub leader: Option<Member>,
    /// This member was elected and has not heard of a successor. A hint: a leader that is cut
    /// off keeps believing it. Side effects are fenced by [`crate::RaftNode::propose_in_term`],
    /// loops started and stopped by [`RaftStatus::holds_office`].
    pub is_leader: bool,
    /// The term of the last vote.
    pub term: u64,
    /// Index of the last entry applied here; 0 before any command.
    pub last_applied: u64,
    /// Index of the last entry known to be committed.
    pub committed: u64,
    /// Index of the last entry of this member's log.
    pub last_log: u64,
    /// Index of the last entry in the snapshot.
    pub snapshot: Option<u64>,
    /// Index of the last entry removed from the log.
    pub purged: Option<u64>,
    /// Members that vote. Empty before the member belongs to a cluster.
    pub voters: BTreeSet<RaftId>,
    /// Members that only follow.
    pub learners: BTreeSet<RaftId>,
    /// All members.
    pub members: BTreeMap<RaftId, Member>,
    /// The membership change in the middle, if one is: two sets of voters are in force.
    pub joint: bool,
    /// On the leader: when a majority last confirmed it.
    pub quorum_acked: Option<Instant>,
    /// On the leader: every other member.
    pub followers: BTreeMap<RaftId, Follower>,
    /// How long a majority's confirmation lasts.
    pub lease: Duration,
    /// Why this member cannot go on; its process must end.
    pub fatal: Option<String>,
}

impl RaftStatus {
    /// Of a member that has not started.
    pub(crate) fn initial(me: Member, lease: Duration) -> Self {
        RaftStatus {
            me,
            leader: None,
            is_leader: false,
            term: 0,
            last_applied: 0,
            committed: 0,
            last_log: 0,
            snapshot: None,
            purged: None,
            voters: BTreeSet::new(),
            learners: BTreeSet::new(),
            members: BTreeMap::new(),
            joint: false,
            quorum_acked: None,
            followers: BTreeMap::new(),
            lease,
            fatal: None,
        }
    }

    /// Whether this member leads and a majority said so within the lease. Looks at `now`, so it
    /// ends by itself when the leader is cut off.
    pub fn holds_office(&self, now: Instant) -> bool {
        let alone = self.voters.len() == 1 && self.voters.contains(&self.me.raft_id);
        let confirmed = |acked: Instant| now.saturating_duration_since(acked) < self.lease;
        self.is_leader && (alone || self.quorum_acked.is_some_and(confirmed))
    }

    /// Whether this member belongs to a cluster.
    pub fn is_initialised(&self) -> bool {
        !self.members.is_empty()
    }

    /// openraft's metrics in our terms. Pure.
    fn of(metrics: &Metrics, before: &RaftStatus, clock: Clock, fatal: Option<String>) -> Self {
        let membership = metrics.membership_config.membership();
        let members: BTreeMap<RaftId, Member> = membership
            .nodes()
            .map(|(id, peer)| (*id, peer.member(*id)))
            .collect();
        let index = |log_id: &Option<crate::types::LogId>| log_id.map(|id| id.index);
        RaftStatus {
            me: *members.get(&before.me.raft_id).unwrap_or(&before.me),
            leader: metrics
                .current_leader
                .and_then(|id| members.get(&id).copied()),
            is_leader: metrics.state == ServerState::Leader
                && metrics.current_leader == Some(metrics.id),
            term: metrics.current_term,
            last_applied: index(&metrics.last_applied).unwrap_or(0),
            committed: index(&metrics.local_committed).unwrap_or(0),
            last_log: metrics.last_log_index.unwrap_or(0),
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            joint: membership.get_joint_config().len() > 1,
            quorum_acked: metrics
                .last_quorum_acked
                .map(|at| clock.instant(at.into_inner())),
            followers: followers(metrics, clock),
            members,
            lease: before.lease,
            fatal,
        }
    }
}

/// Whether the whole has what its part says of who leads and who belongs.
fn are_told(whole: &Metrics, part: &ServerMetrics) -> bool {
    whole.vote == part.vote
        && whole.state == part.state
        && whole.current_leader == part.current_leader
        && whole.membership_config == part.membership_config
}

fn followers(metrics: &Metrics, clock: Clock) -> BTreeMap<RaftId, Follower> {
    let mut followers: BTreeMap<RaftId, Follower> = BTreeMap::new();
    for (id, matched) in metrics.replication.iter().flatten() {
        followers.entry(*id).or_default().matched = matched.map(|log_id| log_id.index);
    }
    for (id, acked) in metrics.heartbeat.iter().flatten() {
        followers.entry(*id).or_default().last_ack = acked.map(|at| clock.instant(at.into_inner()));
    }
    followers.remove(&metrics.id);
    followers
}

/// openraft wraps its instants without a way to take them out, so they are measured against one
/// taken at the same moment as one of ours.
#[derive(Clone, Copy)]
struct Clock {
    theirs: TheirInstant,
    ours: Instant,
}

impl Clock {
    fn new() -> Self {
        Clock {
            theirs: <TheirInstant as openraft::Instant>::now(),
            ours: Instant::now(),
        }
    }

    fn instant(self, at: TheirInstant) -> Instant {
        self.ours + (at - self.theirs)
    }
}

/// How long progress may go unreported. Simulations compare what members are with what they had
/// acknowledged, at every step.
fn progress() -> Duration {
    #[cfg(feature = "sim")]
    if crate::sim::is_on() {
        return Duration::ZERO;
    }
    PROGRESS
}

/// Keeps the status, the address book and the fault signal up to date.
pub(crate) struct Reporter {
    raft: Raft,
    status: Arc<watch::Sender<RaftStatus>>,
    peers: Arc<Peers>,
    fault: Fault,
    clock: Clock,
}

impl Reporter {
    /// Waits until openraft has read its own state, and reports that: a caller that just started
    /// a member must not take it for an empty one.
    pub(crate) async fn new(
        raft: Raft,
        status: Arc<watch::Sender<RaftStatus>>,
        peers: Arc<Peers>,
        fault: Fault,
    ) -> Self {
        // An answer means that its loop runs; an error, that it ended, which the metrics say.
        drop(raft.with_raft_state(|_| ()).await);
        let reporter = Reporter {
            raft,
            status,
            peers,
            fault,
            clock: Clock::new(),
        };
        reporter.refresh(&reporter.raft.metrics().borrow_watched());
        reporter
    }

    /// Reports changes until openraft ends: of who leads and who belongs at once, progress every
    /// [`PROGRESS`]. openraft tells of progress several times for each entry, and a report of all
    /// of it would cost as much as the entry itself.
    pub(crate) async fn run(self) {
        let mut metrics = self.raft.metrics();
        let mut server = self.raft.server_metrics();
        let mut faults = self.fault.subscribe();
        loop {
            let now = metrics.borrow_and_update().clone();
            self.refresh(&now);
            let progress = async {
                sleep(progress()).await;
                metrics.changed().await
            };
            let changed = tokio::select! {
                changed = server.changed() => changed.is_ok(),
                changed = faults.changed() => changed.is_ok(),
                changed = progress => changed.is_ok(),
            };
            // What is watched as a whole is told last, a moment after its parts.
            while changed && !are_told(&metrics.borrow_watched(), &server.borrow_watched()) {
                if metrics.changed().await.is_err() {
                    break;
                }
            }
            if !changed {
                break;
            }
        }
        let last = metrics.borrow_watched().clone();
        self.refresh(&last);
        // The engine is gone. If that was a fault reported last, say so.
        if let Some(reason) = self.fault.get() {
            self.status.send_modify(|status| {
                status.fatal = Some(reason);
                status.is_leader = false;
            });
        }
    }

    fn refresh(&self, metrics: &Metrics) {
        match &metrics.running_state {
            Ok(()) | Err(Fatal::Stopped) => {}
            Err(fatal @ (Fatal::StorageError(_) | Fatal::Panicked)) => {
                if self.fault.get().is_none() {
                    let what = format!("the consensus engine stopped: {fatal}");
                    self.fault.report(what);
                }
            }
        }
        let reason = self.fault.get();
        self.status.send_if_modified(|status| {
            let next = RaftStatus::of(metrics, status, self.clock, reason);
            // Every heartbeat moves these; nobody should be woken for it.
            let mut quiet = next.clone();
            quiet.quorum_acked = status.quorum_acked;
            quiet.followers.clone_from(&status.followers);
            let changed = quiet != *status;
            *status = next;
            changed
        });
        self.peers.learn(self.status.borrow().members.values());
    }
}
