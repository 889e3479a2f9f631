//! The managers among themselves, as the API and the logs see them.

use crate::api::Members;
use crate::consensus::ClusterProposer;
use crate::leader::ANSWERS_WITHIN;
use crate::leader::Liveness;
use crate::leader::answering;
use crate::logs::Peers;
use crate::store::Store;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::transport::Channel;
use weft_proto::NodeId;
use weft_proto::object::NodeState;
use weft_proto::wire::ManagerMember;
use weft_proto::wire::PresenceResponse;
use weft_raft::RaftNode;

pub(super) struct Group {
    raft: RaftNode,
    proposer: Arc<ClusterProposer>,
    store: Arc<Store>,
    liveness: Arc<Liveness>,
    told: Mutex<Told>,
}

impl Group {
    pub(super) fn new(
        raft: RaftNode,
        proposer: Arc<ClusterProposer>,
        store: Arc<Store>,
        liveness: Arc<Liveness>,
    ) -> Self {
        Group {
            raft,
            proposer,
            store,
            liveness,
            told: Mutex::default(),
        }
    }
}

/// What the leader said, and when.
#[derive(Debug, Default)]
struct Told {
    /// Who answers.
    answering: Option<(Instant, BTreeSet<u64>)>,
    /// How many agents of other nodes hold a session with each manager, by its node.
    agents: BTreeMap<String, u32>,
}

impl Group {
    /// The leader said which members answer it, and which agents they hold.
    pub(super) fn told(&self, answer: PresenceResponse, now: Instant) {
        let mut told = self.told.lock();
        // An older leader says nothing; it itself answers always.
        if !answer.answering.is_empty() {
            told.answering = Some((now, answer.answering.into_iter().collect()));
        }
        let agents = answer.agents.into_iter();
        told.agents = agents.map(|one| (one.node_id, one.agents)).collect();
    }
}

impl Members for Group {
    fn this_node(&self) -> NodeId {
        self.raft.status().borrow().me.node_id
    }

    fn leader(&self) -> Option<NodeId> {
        self.raft
            .status()
            .borrow()
            .leader
            .map(|leader| leader.node_id)
    }

    fn members(&self) -> Vec<ManagerMember> {
        let status = self.raft.status().borrow().clone();
        let now = Instant::now();
        let view = self.store.view();
        let down = |node| {
            view.node(node)
                .is_some_and(|n| n.status.state == NodeState::Down)
        };
        // Only the leader hears of the others; elsewhere what it told, or wrote down, must do.
        let heard = if status.is_leader {
            Some(answering(&status, now))
        } else {
            let told = self.told.lock().answering.clone();
            let fresh = |at| now.saturating_duration_since(at) < ANSWERS_WITHIN;
            told.filter(|(at, _)| fresh(*at)).map(|(_, heard)| heard)
        };
        let reachable = |member: &weft_raft::Member| match &heard {
            Some(heard) => heard.contains(&member.raft_id.0),
            None => !down(member.node_id),
        };
        let agents = self.told.lock().agents.clone();
        let agents = |node: NodeId| agents.get(&node.to_string()).copied().unwrap_or_default();
        let member = |member: &weft_raft::Member| ManagerMember {
            node_id: member.node_id.to_string(),
            raft_id: member.raft_id.0,
            addr: member.addr.to_string(),
            voter: status.voters.contains(&member.raft_id),
            leader: status
                .leader
                .is_some_and(|leader| leader.raft_id == member.raft_id),
            reachable: reachable(member),
            agents: agents(member.node_id),
        };
        status.members.values().map(member).collect()
    }

    fn keys_awaited(&self) -> Vec<NodeId> {
        self.liveness.keys_awaited()
    }
}

impl Peers for Group {
    fn channels(&self) -> Vec<(NodeId, Channel)> {
        let status = self.raft.status().borrow().clone();
        let others = status
            .members
            .values()
            .filter(|member| **member != status.me);
        others
            .map(|member| (member.node_id, self.proposer.channel(*member)))
            .collect()
    }
}
