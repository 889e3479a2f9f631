//! Stands for election early when the leader's process is seen to be gone.
//!
//! A follower waits for its leader's lease and then for a random part of the election timeout,
//! since silence may mean anything. But when a leader's process ends, its machine says so: the
//! stream of appends breaks, and whoever dials the leader is refused. Nobody is left then whom the
//! lease would protect: each member that saw it with its own eyes gives the lease up, and the
//! random part, which keeps candidates from tying, is replaced by turns in the order of the
//! members' numbers.
//!
//! It is a matter of time only, never of safety: the lease is not what reads or writes rely on,
//! and a candidate asks the others first (pre-vote), who refuse as long as they did not see the
//! leader's end themselves. So a leader that lives after all keeps its office while a majority
//! hears it. A machine that dies as a whole refuses nobody, so the ordinary timeout remains for
//! that.

use crate::config::Timing;
use crate::member::Member;
use crate::member::RaftId;
use crate::node::Inner;
use crate::node::RaftNode;
use crate::peers::Dialer;
use crate::status::RaftStatus;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;

/// How long the refusal of a dial may take: it is one round trip.
const REFUSAL: Duration = Duration::from_millis(200);

/// After a dial that somebody answered, before the next one.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(8),
    Duration::from_millis(20),
    Duration::from_millis(50),
];

/// The last stream of appends that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Who sent on it.
    pub(crate) from: RaftId,
    /// When.
    pub(crate) at: Instant,
}

/// Runs until the member is gone.
pub(crate) async fn run(
    inner: Weak<Inner>,
    mut broken: watch::Receiver<Option<Broken>>,
    timing: Timing,
    dialer: Arc<dyn Dialer>,
) {
    while broken.changed().await.is_ok() {
        let Some(last) = *broken.borrow_and_update() else {
            continue;
        };
        let Some(node) = inner.upgrade().map(RaftNode::from_inner) else {
            return;
        };
        succeed(node, last, timing, &*dialer).await;
    }
}

async fn succeed(node: RaftNode, broken: Broken, timing: Timing, dialer: &dyn Dialer) {
    let mut status = node.status();
    let before = status.borrow_and_update().clone();
    let led = |leader: &Member| leader.raft_id == broken.from;
    let Some(leader) = before.leader.filter(led) else {
        return;
    };
    let Some(turns) = turns(&before, leader.raft_id, broken.at, timing) else {
        return;
    };
    if !dialer.refuses(&leader).await || !give_up_lease(&node, leader.raft_id).await {
        return;
    }
    tracing::info!(%leader, "the leader's process is gone; standing for election in turn");
    let mut term = before.term;
    for turn in turns {
        let elected = |now: &RaftStatus| {
            now.leader.is_some() && (now.leader != before.leader || now.term != before.term)
        };
        if timeout_at(turn, status.wait_for(elected)).await.is_ok() {
            return;
        }
        // Somebody stands already; it may take until the next turn.
        let now = status.borrow().term;
        if now != term {
            term = now;
            continue;
        }
        if node.inner().raft.trigger().elect(true).await.is_err() {
            return;
        }
    }
}

/// Lets this member vote for others although the leader was heard a moment ago. `false` when the
/// member follows somebody else by now, or has stopped.
async fn give_up_lease(node: &RaftNode, leader: RaftId) -> bool {
    let raft = &node.inner().raft;
    let vote = raft.metrics().borrow_watched().vote;
    if vote.leader_id.node_id != leader {
        return false;
    }
    // What a leader sends that hands its office over to somebody else, said on behalf of one that
    // can not: the engine's only effect is that the lease of that very leader ends.
    let ended = TransferLeaderRequest::new(vote, leader, None);
    matches!(raft.handle_transfer_leader(ended).await, Ok(Ok(())))
}

/// When this member stands, unless somebody was elected before: in turn with the other voters,
/// and twice more when all had theirs. `None` for a member that may not. Pure.
fn turns(
    status: &RaftStatus,
    leader: RaftId,
    broken: Instant,
    timing: Timing,
) -> Option<[Instant; 3]> {
    let mut heirs = status.voters.iter().filter(|id| **id != leader);
    let place = heirs.clone().position(|id| *id == status.me.raft_id)?;
    let place = u32::try_from(place).ok()?;
    let count = u32::try_from(heirs.by_ref().count()).ok()?;
    // An election takes some round trips and a write to disk; so does one's turn.
    let turn = timing.heartbeat;
    // Voters see the end at slightly different times, and each has to dial first.
    let settle = timing.heartbeat / 10;
    let first = broken + settle + turn * place;
    let round = (turn * count).max(timing.election_min);
    Some([first, first + round, first + round * 2])
}

/// Whether nobody listens at an address, by the word of its machine. A process that ends closes its
/// connections one after the other, and its listener among them: who was told early, dials early.
pub(crate) async fn refuses(addr: SocketAddr) -> bool {
    for pause in PAUSES {
        match timeout(REFUSAL, TcpStream::connect(addr)).await {
            Ok(Err(error)) => return error.kind() == io::ErrorKind::ConnectionRefused,
            Ok(Ok(_)) => sleep(pause).await,
            Err(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::NodeId;

    const TIMING: Timing = Timing::LAN;

    fn status(me: u64, voters: &[u64]) -> RaftStatus {
        let me = Member {
            raft_id: RaftId(me),
            node_id: NodeId::from_entropy(u128::from(me)),
            addr: ([127, 0, 0, 1], 2377).into(),
        };
        RaftStatus {
            voters: voters.iter().copied().map(RaftId).collect(),
            ..RaftStatus::initial(me, TIMING.election_max)
        }
    }

    fn turns_of(me: u64, voters: &[u64]) -> Option<[Duration; 3]> {
        let broken = Instant::now();
        let turns = turns(&status(me, voters), RaftId(2), broken, TIMING)?;
        Some(turns.map(|turn| turn - broken))
    }

    #[test]
    fn no_two_members_stand_at_once() {
        let all = [1, 2, 3, 5, 9];
        let mut turns: Vec<Duration> = [1, 3, 5, 9]
            .iter()
            .flat_map(|me| turns_of(*me, &all).unwrap())
            .collect();
        turns.sort_unstable();
        for pair in turns.windows(2) {
            assert!(pair[1] - pair[0] >= TIMING.heartbeat, "{turns:?}");
        }
    }

    #[test]
    fn the_first_heir_stands_long_before_the_lease_would_have_ended() {
        let [first, ..] = turns_of(1, &[1, 2, 3]).unwrap();
        assert!(first * 4 < TIMING.election_max);
    }

    #[test]
    fn who_has_no_vote_does_not_stand() {
        assert_eq!(turns_of(7, &[1, 2, 3]), None);
        assert_eq!(turns_of(2, &[1, 2, 3]), None, "nor the dead leader itself");
    }

    #[tokio::test]
    async fn a_free_port_refuses_and_a_listener_does_not() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        assert!(!refuses(addr).await);
        drop(listener);
        assert!(refuses(addr).await);
    }

    #[tokio::test]
    async fn a_listener_that_closes_a_moment_after_the_dial_refuses_too() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let dying = tokio::spawn(async move {
            drop(listener.accept().await);
        });
        assert!(refuses(addr).await);
        dying.await.unwrap();
    }
}
