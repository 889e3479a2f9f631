//! The log's members follow the nodes: a manager that joined becomes a learner, then a voter; one
//! that was removed goes.

use crate::store::State;
use std::collections::BTreeSet;
use weft_raft::Member;
use weft_raft::RaftId;
use weft_raft::RaftStatus;

/// One change of the log's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipStep {
    /// Send it the log.
    AddLearner(Member),
    /// Let it vote, once it has the log.
    Promote(RaftId),
    /// It is a manager no longer.
    Remove(RaftId),
}

/// What is to be done next; one at a time, since each changes what a majority is.
pub fn plan(state: &State, raft: &RaftStatus) -> Option<MembershipStep> {
    let wanted: Vec<Member> = state
        .nodes()
        .filter_map(|node| {
            let manager = node.manager?;
            Some(Member {
                raft_id: RaftId(manager.raft_id),
                node_id: node.id,
                addr: manager.addr,
            })
        })
        .collect();
    let ids: BTreeSet<RaftId> = wanted.iter().map(|member| member.raft_id).collect();
    // Only once the state shows the founder: before that, every member would look superfluous.
    if ids.is_empty() {
        return None;
    }
    if let Some(gone) = raft.members.keys().find(|id| !ids.contains(id)) {
        return Some(MembershipStep::Remove(*gone));
    }
    if let Some(new) = wanted
        .iter()
        .find(|member| !raft.members.contains_key(&member.raft_id))
    {
        return Some(MembershipStep::AddLearner(*new));
    }
    // A learner that never started would be waited for in vain, and the others behind it.
    raft.learners
        .iter()
        .find(|id| {
            raft.followers
                .get(id)
                .is_some_and(|follower| follower.matched.is_some())
        })
        .map(|id| MembershipStep::Promote(*id))
}
