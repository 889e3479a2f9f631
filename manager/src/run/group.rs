//! The managers among themselves, as the API and the logs see them.

use crate::api::Members;
use crate::consensus::ClusterProposer;
use crate::logs::Peers;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use weft_proto::NodeId;
use weft_proto::object::NodeState;
use weft_proto::wire::ManagerMember;
use weft_raft::RaftNode;

/// A member that has not answered the leader for this long is shown as unreachable.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);

pub(super) struct Group {
    raft: RaftNode,
    proposer: Arc<ClusterProposer>,
    store: Arc<Store>,
}

impl Group {
    pub(super) fn new(raft: RaftNode, proposer: Arc<ClusterProposer>, store: Arc<Store>) -> Self {
        Group {
            raft,
            proposer,
            store,
        }
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
        let reachable = |member: &weft_raft::Member| {
            let acked = |at| now.saturating_duration_since(at) < UNREACHABLE_AFTER;
            let answers = status
                .followers
                .get(&member.raft_id)
                .is_some_and(|follower| follower.last_ack.is_some_and(acked));
            // Only the leader hears of the others; elsewhere what it wrote down must do.
            !down(member.node_id) && (!status.is_leader || *member == status.me || answers)
        };
        let member = |member: &weft_raft::Member| ManagerMember {
            node_id: member.node_id.to_string(),
            raft_id: member.raft_id.0,
            addr: member.addr.to_string(),
            voter: status.voters.contains(&member.raft_id),
            leader: status
                .leader
                .is_some_and(|leader| leader.raft_id == member.raft_id),
            reachable: reachable(member),
        };
        status.members.values().map(member).collect()
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
