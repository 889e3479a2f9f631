//! Tells the leader which agents this manager hears.

use crate::consensus::ClusterProposer;
use crate::dispatcher::Presence;
use crate::leader::Liveness;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weft_proto::wire;
use weft_raft::RaftNode;

/// A quarter of a heartbeat of agents, so that the leader's picture is hardly older than it must be.
const PERIOD: Duration = Duration::from_millis(250);
/// A manager that sleeps so much longer than it meant to has not read yet what agents said.
const HELD_UP: Duration = Duration::from_millis(500);
/// How long the leader may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the leader, again and again until `stop`, which agents hold a session here. What it answers,
/// which members it hears, goes to `told`.
pub async fn report(
    raft: RaftNode,
    proposer: Arc<ClusterProposer>,
    presence: Arc<Presence>,
    liveness: Arc<Liveness>,
    told: impl Fn(Vec<u64>),
    stop: CancellationToken,
) {
    loop {
        let begun = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(PERIOD) => {}
        }
        if begun.elapsed() > PERIOD + HELD_UP {
            continue;
        }
        let heard = presence.heard();
        let status = raft.status().borrow().clone();
        if status.is_leader {
            let now = Instant::now();
            liveness.heard(&heard, now);
            presence.refuse(&liveness.refused(now));
            continue;
        }
        let Some(leader) = status.leader.filter(|leader| *leader != status.me) else {
            continue;
        };
        let mut peer = proposer.peer(leader);
        let answer = timeout(PATIENCE, peer.presence(wire::PresenceRequest { heard })).await;
        match answer {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                let awaited = answer.keys_awaited.iter();
                liveness.await_keys(awaited.filter_map(|node| node.parse().ok()).collect());
                presence.refuse(&answer.refused);
                told(answer.answering);
            }
            Ok(Err(status)) => {
                tracing::debug!(%leader, %status, "the leader did not take the report; the next one follows");
            }
            Err(_) => {}
        }
    }
}
