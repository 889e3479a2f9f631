//! Stands for election early when the leader's process is seen to be gone.
//!
//! A follower waits for its leader's lease and then for a random part of the election timeout,
//! since silence may mean anything. But when a leader's process ends, its machine says so: the
//! stream of appends breaks, and whoever dials the leader is refused. Then only the lease needs to
//! pass. The random part, which keeps candidates from tying, is replaced by turns in the order of
//! the members' numbers.
//!
//! It is a matter of time only, never of safety: the engine does not stand while its own lease
//! lasts, and asks the others first, who refuse while theirs does (pre-vote). A leader that lives
//! after all keeps its office. A machine that dies as a whole refuses nobody, so the ordinary
//! timeout remains for that.

use crate::config::Timing;
use crate::member::Member;
use crate::member::RaftId;
use crate::node::Inner;
use crate::node::RaftNode;
use crate::peers::Dialer;
use crate::status::RaftStatus;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

/// How long the refusal of a dial may take: it is one round trip.
const REFUSAL: Duration = Duration::from_millis(200);

/// The last stream of appends that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Who sent on it.
    pub(crate) from: RaftId,
    /// When. Whatever it sent arrived before, so its lease has ended one lease later.
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
    if !dialer.refuses(&leader).await {
        return;
    }
    tracing::info!(%leader, "the leader's process is gone; standing for election when its lease ends");
    for turn in turns {
        let decided = status.wait_for(|now| now.term != before.term || now.leader != before.leader);
        if timeout_at(turn, decided).await.is_ok() {
            return;
        }
        if node.inner().raft.trigger().elect(true).await.is_err() {
            return;
        }
    }
}

/// When this member stands, unless somebody was elected before: after the lease, in turn with the
/// other voters, and once more when all had theirs. `None` for a member that may not. Pure.
fn turns(
    status: &RaftStatus,
    leader: RaftId,
    broken: Instant,
    timing: Timing,
) -> Option<[Instant; 2]> {
    let mut heirs = status.voters.iter().filter(|id| **id != leader);
    let place = heirs.clone().position(|id| *id == status.me.raft_id)?;
    let place = u32::try_from(place).ok()?;
    let count = u32::try_from(heirs.by_ref().count()).ok()?;
    // An election takes some round trips and a write to disk; so does one's turn.
    let turn = timing.heartbeat;
    // Voters heard the last word at slightly different times.
    let lease = timing.election_max + timing.heartbeat / 10;
    let first = broken + lease + turn * place;
    Some([first, first + turn * count.max(2)])
}

/// Whether nobody listens at an address, by the word of its machine.
pub(crate) async fn refuses(addr: SocketAddr) -> bool {
    match timeout(REFUSAL, TcpStream::connect(addr)).await {
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => false,
    }
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

    fn turns_of(me: u64, voters: &[u64]) -> Option<[Duration; 2]> {
        let broken = Instant::now();
        let turns = turns(&status(me, voters), RaftId(2), broken, TIMING)?;
        Some(turns.map(|turn| turn - broken))
    }

    #[test]
    fn nobody_stands_before_the_lease_has_ended_and_no_two_at_once() {
        let all = [1, 2, 3, 5, 9];
        let mut turns: Vec<Duration> = [1, 3, 5, 9]
            .iter()
            .flat_map(|me| turns_of(*me, &all).unwrap())
            .collect();
        assert!(turns.iter().all(|turn| *turn > TIMING.election_max));
        turns.sort_unstable();
        for pair in turns.windows(2) {
            assert!(pair[1] - pair[0] >= TIMING.heartbeat, "{turns:?}");
        }
    }

    #[test]
    fn the_first_heir_stands_before_the_ordinary_timeout() {
        let [first, _] = turns_of(1, &[1, 2, 3]).unwrap();
        assert!(first < TIMING.election_max + TIMING.election_min);
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
}
