//! The log's members follow the nodes: a manager that joined becomes a learner, then a voter; one
//! that was removed or is to be a worker goes.

use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use weft_proto::Role;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Node;
use weft_raft::Member;
use weft_raft::RaftId;
use weft_raft::RaftStatus;

/// A member that answered the leader within this is counted on. Longer than pauses of a busy
/// machine.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// One change of the log's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipStep {
    /// Send it the log.
    AddLearner(Member),
    /// Let it vote, once it has the log.
    Promote(RaftId),
    /// It is reached at another address.
    Move(Member),
    /// This manager leads and has to go: let that one lead first.
    HandOver(RaftId),
    /// It is a manager no longer.
    Remove(RaftId),
    /// Its voice counts no longer, so that it may stop: write that down.
    Retire(Box<Node>),
}

/// What is to be done next; one at a time, since each changes what a majority is.
pub fn plan(state: &State, raft: &RaftStatus, now: Instant) -> Option<MembershipStep> {
    let managers: Vec<(&Node, ManagerStatus)> = state
        .nodes()
        .filter_map(|node| Some((&**node, node.manager?)))
        .collect();
    let wanted: BTreeMap<RaftId, Member> = managers
        .iter()
        .filter(|(node, _)| node.spec.role == Role::Manager)
        .map(|(node, manager)| member(node, *manager))
        .map(|member| (member.raft_id, member))
        .collect();
    // Only once the state shows the founder: before that, every member would look superfluous.
    if wanted.is_empty() {
        return None;
    }
    retire(&managers, raft)
        .or_else(|| remove(state, raft, &wanted, now))
        .or_else(|| add(raft, &wanted))
}

fn member(node: &Node, manager: ManagerStatus) -> Member {
    Member {
        raft_id: RaftId(manager.raft_id),
        node_id: node.id,
        addr: manager.addr,
    }
}

/// A node that is to be a worker and votes no longer.
fn retire(managers: &[(&Node, ManagerStatus)], raft: &RaftStatus) -> Option<MembershipStep> {
    if raft.joint {
        return None;
    }
    let (node, _) = managers.iter().find(|(node, manager)| {
        node.spec.role == Role::Worker && !raft.members.contains_key(&RaftId(manager.raft_id))
    })?;
    let mut node = Node::clone(node);
    node.manager = None;
    Some(MembershipStep::Retire(Box::new(node)))
}

/// A member that is to go. This manager itself goes last, and only after another took its office.
fn remove(
    state: &State,
    raft: &RaftStatus,
    wanted: &BTreeMap<RaftId, Member>,
    now: Instant,
) -> Option<MembershipStep> {
    let me = raft.me.raft_id;
    let gone = |id: &&RaftId| !wanted.contains_key(id);
    let mut others = raft.members.keys().filter(gone).filter(|id| **id != me);
    if let Some(id) = others.find(|id| may_go(state, raft, **id, now)) {
        return Some(MembershipStep::Remove(*id));
    }
    if !raft.members.contains_key(&me) || wanted.contains_key(&me) || !may_go(state, raft, me, now)
    {
        return None;
    }
    let fit = |id: &&RaftId| wanted.contains_key(id) && answers(raft, **id, now);
    let best = raft
        .voters
        .iter()
        .filter(|id| **id != me)
        .filter(fit)
        .max_by_key(|id| raft.followers.get(id).map(|follower| follower.matched))?;
    Some(MembershipStep::HandOver(*best))
}

/// One that left or was removed goes whatever happens. One that is to be a worker waits until the
/// rest can decide without it: that was so when it was asked for, and need not be so any more.
fn may_go(state: &State, raft: &RaftStatus, id: RaftId, now: Instant) -> bool {
    let member = raft.members.get(&id);
    if member.is_none_or(|member| state.node(member.node_id).is_none())
        || !raft.voters.contains(&id)
    {
        return true;
    }
    let rest = raft.voters.iter().filter(|voter| **voter != id);
    let answering = rest.clone().filter(|voter| answers(raft, **voter, now));
    answering.count() > rest.count() / 2
}

fn answers(raft: &RaftStatus, id: RaftId, now: Instant) -> bool {
    answering(raft, now).contains(&id.0)
}

/// The members that answered this leader lately, itself included.
pub fn answering(raft: &RaftStatus, now: Instant) -> BTreeSet<u64> {
    let lately = |at| now.saturating_duration_since(at) < ANSWERS_WITHIN;
    let others = raft.followers.iter();
    let others = others.filter(|(_, follower)| follower.last_ack.is_some_and(lately));
    let others = others.map(|(id, _)| id.0);
    others.chain([raft.me.raft_id.0]).collect()
}

/// A manager that is no member yet, or no voter, or is reached elsewhere.
fn add(raft: &RaftStatus, wanted: &BTreeMap<RaftId, Member>) -> Option<MembershipStep> {
    for member in wanted.values() {
        match raft.members.get(&member.raft_id) {
            None => return Some(MembershipStep::AddLearner(*member)),
            Some(known) if known.addr != member.addr => {
                return Some(MembershipStep::Move(*member));
            }
            Some(_) => {}
        }
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

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
