//! Changing who takes part. All of these are for the leader, and safe to repeat.

use crate::error::MembershipError;
use crate::member::Member;
use crate::member::RaftId;
use crate::node::RaftNode;
use crate::proposal::leader_of;
use crate::status::RaftStatus;
use crate::types::Peer;
use openraft::ChangeMembers;
use openraft::errors::ChangeMembershipError;
use openraft::errors::ClientWriteError;
use openraft::errors::RaftError;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

/// A learner that lacks no more entries than this may vote: the rest takes one message.
const CAUGHT_UP: u64 = 64;

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

type Change = ChangeMembers<RaftId, Peer>;

impl RaftNode {
    /// Adds a member that follows but does not vote. It is sent the log, or a snapshot, from now
    /// on; nothing is waited for.
    pub async fn add_learner(&self, member: Member) -> Result<(), MembershipError> {
        let status = self.inner().status();
        match status.members.get(&member.raft_id) {
            Some(known) if *known == member => return Ok(()),
            Some(owner) if owner.node_id != member.node_id => {
                return Err(MembershipError::Taken {
                    id: member.raft_id,
                    owner: *owner,
                });
            }
            Some(_) => return self.update_addr(member).await,
            None => {}
        }
        let nodes = BTreeMap::from([(member.raft_id, Peer::from(member))]);
        self.change(Change::AddNodes(nodes), true).await
    }

    /// Makes a learner a voter, after waiting up to `within` until its log is nearly complete: a
    /// voter without the log would make the cluster stand still until it has it.
    pub async fn promote(&self, id: RaftId, within: Duration) -> Result<(), MembershipError> {
        let status = self.inner().status();
        if status.voters.contains(&id) && !status.joint {
            return Ok(());
        }
        if !status.members.contains_key(&id) {
            return Err(MembershipError::Unknown { id });
        }
        self.leading()?;
        let deadline = Instant::now() + within;
        while let Some(behind) = behind(&self.inner().status(), id) {
            self.leading()?;
            if Instant::now() >= deadline {
                return Err(MembershipError::Behind {
                    id,
                    behind,
                    waited: within,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        self.change(Change::AddVoterIds(BTreeSet::from([id])), true)
            .await
    }

    /// Removes a member, voter or learner; one that is gone already is no error. A leader may
    /// remove itself: it hands over shortly after. The number must never be used again.
    pub async fn remove(&self, id: RaftId) -> Result<(), MembershipError> {
        let status = self.inner().status();
        let change = match (
            status.voters.contains(&id),
            status.members.contains_key(&id),
        ) {
            (true, _) if status.voters.len() == 1 => {
                return Err(MembershipError::LastVoter { id });
            }
            (true, _) => Change::RemoveVoters(BTreeSet::from([id])),
            (false, true) => Change::RemoveNodes(BTreeSet::from([id])),
            (false, false) => return self.leading(),
        };
        self.change(change, false).await
    }

    /// Records a new address of a member, which must be the same machine.
    pub async fn update_addr(&self, member: Member) -> Result<(), MembershipError> {
        let id = member.raft_id;
        let status = self.inner().status();
        let known = status
            .members
            .get(&id)
            .ok_or(MembershipError::Unknown { id })?;
        if known.node_id != member.node_id {
            return Err(MembershipError::Taken { id, owner: *known });
        }
        if *known == member {
            return Ok(());
        }
        let nodes = BTreeMap::from([(id, Peer::from(member))]);
        self.change(Change::SetNodes(nodes), true).await
    }

    /// Hands the leader's office to a voter and waits until it has it. openraft stops accepting
    /// writes at once and cannot take the order back, so the successor is checked first.
    pub async fn transfer_leader(&self, to: RaftId) -> Result<(), MembershipError> {
        self.leading()?;
        let inner = self.inner();
        let status = inner.status();
        if to == inner.me.raft_id {
            return Ok(());
        }
        fit_to_lead(&status, to, Instant::now())
            .map_err(|reason| MembershipError::NotFit { id: to, reason })?;
        inner
            .raft
            .trigger()
            .transfer_leader(to)
            .await
            .map_err(|fatal| MembershipError::Stopped {
                reason: inner.stop_reason(&fatal),
            })?;
        let leads = |status: &RaftStatus| status.leader.is_some_and(|l| l.raft_id == to);
        let mut changes = self.status();
        let limit = Instant::now() + inner.lease() * 4;
        match timeout_at(limit, changes.wait_for(leads)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(MembershipError::Unfinished {
                reason: format!("member {to} has not taken the office yet"),
            }),
        }
    }

    /// The voter that would be the best successor, if any is fit.
    pub(crate) fn successor(&self) -> Option<RaftId> {
        let status = self.inner().status();
        let now = Instant::now();
        status
            .voters
            .iter()
            .filter(|id| **id != status.me.raft_id && fit_to_lead(&status, **id, now).is_ok())
            .max_by_key(|id| status.followers.get(id).map(|f| f.matched))
            .copied()
    }

    fn leading(&self) -> Result<(), MembershipError> {
        let status = self.inner().status();
        if status.is_leader {
            return Ok(());
        }
        Err(MembershipError::NotLeader {
            leader: status.leader,
        })
    }

    /// Makes one change, waiting for another one that is under way and for the confirmation of
    /// a new leader.
    async fn change(&self, change: Change, retain: bool) -> Result<(), MembershipError> {
        let limit = self.inner().propose_timeout;
        timeout(limit, self.change_when_possible(change, retain))
            .await
            .unwrap_or_else(|_| {
                Err(MembershipError::Unfinished {
                    reason: format!("no majority agreed within {limit:?}"),
                })
            })
    }

    async fn change_when_possible(
        &self,
        change: Change,
        retain: bool,
    ) -> Result<(), MembershipError> {
        let inner = self.inner();
        let until = Instant::now() + inner.lease();
        loop {
            let result = inner.raft.change_membership(change.clone(), retain).await;
            let refused = match result {
                Ok(_) => return Ok(()),
                Err(RaftError::Fatal(fatal)) => {
                    return Err(MembershipError::Stopped {
                        reason: inner.stop_reason(&fatal),
                    });
                }
                Err(RaftError::APIError(refused)) => refused,
            };
            match refused {
                ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_)
                    | ChangeMembershipError::UncommittedLeaderLog(_),
                ) => {}
                ClientWriteError::ForwardToLeader(forward) => {
                    let leader = leader_of(&forward);
                    if leader.is_some() || !inner.is_leader() || Instant::now() >= until {
                        return Err(MembershipError::NotLeader { leader });
                    }
                }
                other @ (ClientWriteError::LogEntryDiscarded(_)
                | ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_)) => {
                    return Err(MembershipError::Unfinished {
                        reason: other.to_string(),
                    });
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// How many entries a member lacks, if too many to vote. Pure.
fn behind(status: &RaftStatus, id: RaftId) -> Option<u64> {
    if id == status.me.raft_id {
        return None;
    }
    let follower = status.followers.get(&id).copied().unwrap_or_default();
    let behind = match follower.matched {
        Some(matched) => status.last_log.saturating_sub(matched),
        None => return Some(status.last_log + 1),
    };
    (behind > CAUGHT_UP).then_some(behind)
}

/// Whether a member can take the office now: a voter, in touch, with nearly all of the log. Pure.
fn fit_to_lead(status: &RaftStatus, id: RaftId, now: Instant) -> Result<(), String> {
    if !status.voters.contains(&id) {
        return Err("it is not a voter".to_owned());
    }
    let follower = status.followers.get(&id).copied().unwrap_or_default();
    let in_touch = follower
        .last_ack
        .is_some_and(|ack| now.saturating_duration_since(ack) < status.lease);
    if !in_touch {
        return Err("it does not answer".to_owned());
    }
    match behind(status, id) {
        Some(behind) => Err(format!("it is {behind} entries behind")),
        None => Ok(()),
    }
}
