//! Tells the leader which agents this manager hears.

use crate::consensus::ClusterProposer;
use crate::dispatcher::Presence;
use crate::leader::Advice;
use crate::leader::Balance;
use crate::leader::Liveness;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weft_proto::wire;
use weft_raft::Member;
use weft_raft::RaftNode;

/// A quarter of a heartbeat of agents, so that the leader's picture is hardly older than it must be.
const PERIOD: Duration = Duration::from_millis(250);
/// A manager that sleeps so much longer than it meant to has not read yet what agents said.
const HELD_UP: Duration = Duration::from_millis(500);
/// How long the leader may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long agents that move together take to begin: no manager is asked by all of them at once.
const SPREAD: Duration = Duration::from_secs(1);

/// Whose agents, and who judges them when this manager leads.
#[derive(Clone, Debug)]
pub struct Reporting {
    /// Says who leads.
    pub raft: RaftNode,
    /// Knows the way to the leader.
    pub proposer: Arc<ClusterProposer>,
    /// The agents that hold a session here.
    pub presence: Arc<Presence>,
    /// Judges silence, on the leader.
    pub liveness: Arc<Liveness>,
    /// Judges who holds too many, on the leader.
    pub balance: Arc<Balance>,
}

impl Reporting {
    /// Of these.
    pub(super) fn new(
        raft: &RaftNode,
        proposer: &Arc<ClusterProposer>,
        presence: &Arc<Presence>,
        liveness: &Arc<Liveness>,
        balance: &Arc<Balance>,
    ) -> Self {
        Reporting {
            raft: raft.clone(),
            proposer: proposer.clone(),
            presence: presence.clone(),
            liveness: liveness.clone(),
            balance: balance.clone(),
        }
    }

    /// Tells the leader, again and again until `stop`, which agents hold a session here, and asks
    /// those to move that it wants to. All it answered goes to `told`.
    pub async fn run(self, told: impl Fn(wire::PresenceResponse), stop: CancellationToken) {
        loop {
            let begun = Instant::now();
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(PERIOD) => {}
            }
            if begun.elapsed() > PERIOD + HELD_UP {
                continue;
            }
            let heard = self.presence.heard();
            let status = self.raft.status().borrow().clone();
            let own = status.me.node_id;
            let answer = if status.is_leader {
                let now = Instant::now();
                self.liveness.heard(&heard, now);
                self.presence.refuse(&self.liveness.refused(now));
                let Advice { move_to, agents } = self.balance.hear(own, &heard, now);
                wire::PresenceResponse {
                    move_to: move_to.iter().map(ToString::to_string).collect(),
                    agents,
                    ..wire::PresenceResponse::default()
                }
            } else {
                let Some(leader) = status.leader.filter(|leader| *leader != status.me) else {
                    continue;
                };
                let Some(answer) = self.tell(leader, heard).await else {
                    continue;
                };
                let awaited = answer.keys_awaited.iter();
                let awaited = awaited.filter_map(|node| node.parse().ok());
                self.liveness.await_keys(awaited.collect());
                self.presence.refuse(&answer.refused);
                answer
            };
            self.presence.ask_to_move(own, &answer.move_to, SPREAD);
            told(answer);
        }
    }

    async fn tell(
        &self,
        leader: Member,
        heard: Vec<wire::Heard>,
    ) -> Option<wire::PresenceResponse> {
        let mut peer = self.proposer.peer(leader);
        let answer = timeout(PATIENCE, peer.presence(wire::PresenceRequest { heard })).await;
        match answer.ok()? {
            Ok(answer) => Some(answer.into_inner()),
            Err(status) => {
                tracing::debug!(%leader, %status, "the leader did not take the report; the next one follows");
                None
            }
        }
    }
}
