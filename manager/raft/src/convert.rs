//! Between openraft's values and our own protobuf messages, both ways. Nothing else encodes
//! consensus data: openraft's own layouts change between releases.

use crate::member::RaftId;
use crate::types::Command;
use crate::types::Entry;
use crate::types::LeaderId;
use crate::types::LogId;
use crate::types::Membership;
use crate::types::Payload;
use crate::types::Peer;
use crate::types::SnapshotMeta;
use crate::types::StoredMembership;
use crate::types::Vote;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::wire;
use wire::raft_entry::Payload as WirePayload;

/// A field that is missing or out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ConvertError {
    field: &'static str,
    problem: String,
}

impl ConvertError {
    fn missing(field: &'static str) -> Self {
        ConvertError {
            field,
            problem: "is missing".to_owned(),
        }
    }

    fn wrong(field: &'static str, problem: impl std::fmt::Display) -> Self {
        ConvertError {
            field,
            problem: problem.to_string(),
        }
    }
}

/// Unwraps a field that every sender sets.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, ConvertError> {
    value.ok_or_else(|| ConvertError::missing(field))
}

pub(crate) fn vote_to_wire(vote: &Vote) -> wire::RaftVote {
    wire::RaftVote {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id.0,
        committed: vote.committed,
    }
}

pub(crate) fn vote_from_wire(vote: wire::RaftVote) -> Vote {
    Vote {
        leader_id: leader(vote.term, vote.node),
        committed: vote.committed,
    }
}

fn leader(term: u64, node: u64) -> LeaderId {
    LeaderId {
        term,
        node_id: RaftId(node),
    }
}

pub(crate) fn log_id_to_wire(log_id: &LogId) -> wire::RaftLogId {
    wire::RaftLogId {
        term: log_id.leader_id.term,
        node: log_id.leader_id.node_id.0,
        index: log_id.index,
    }
}

pub(crate) fn log_id_from_wire(log_id: wire::RaftLogId) -> LogId {
    LogId {
        leader_id: leader(log_id.term, log_id.node),
        index: log_id.index,
    }
}

pub(crate) fn entry_to_wire(entry: &Entry) -> wire::RaftEntry {
    let payload = match &entry.payload {
        Payload::Blank => WirePayload::Blank(wire::RaftBlank {}),
        Payload::Normal(command) => WirePayload::Command(command.0.clone()),
        Payload::Membership(membership) => WirePayload::Membership(membership_to_wire(membership)),
    };
    wire::RaftEntry {
        log_id: Some(log_id_to_wire(&entry.log_id)),
        payload: Some(payload),
    }
}

pub(crate) fn entry_from_wire(entry: wire::RaftEntry) -> Result<Entry, ConvertError> {
    let payload = match required("entry.payload", entry.payload)? {
        WirePayload::Blank(wire::RaftBlank {}) => Payload::Blank,
        WirePayload::Command(command) => Payload::Normal(Command(command)),
        WirePayload::Membership(membership) => {
            Payload::Membership(membership_from_wire(membership)?)
        }
    };
    Ok(Entry {
        log_id: log_id_from_wire(required("entry.log_id", entry.log_id)?),
        payload,
    })
}

pub(crate) fn membership_to_wire(membership: &Membership) -> wire::RaftMembership {
    let voters = |ids: &BTreeSet<RaftId>| wire::RaftVoters {
        raft_ids: ids.iter().map(|id| id.0).collect(),
    };
    wire::RaftMembership {
        configs: membership.get_joint_config().iter().map(voters).collect(),
        members: membership
            .nodes()
            .map(|(id, peer)| wire::RaftMember {
                raft_id: id.0,
                node_id: peer.node_id.to_string(),
                addr: peer.addr.to_string(),
            })
            .collect(),
    }
}

pub(crate) fn membership_from_wire(
    membership: wire::RaftMembership,
) -> Result<Membership, ConvertError> {
    let mut members = BTreeMap::new();
    for member in membership.members {
        let node_id = member
            .node_id
            .parse()
            .map_err(|e| ConvertError::wrong("member.node_id", e))?;
        let addr = member
            .addr
            .parse()
            .map_err(|e| ConvertError::wrong("member.addr", e))?;
        members.insert(RaftId(member.raft_id), Peer { node_id, addr });
    }
    let configs = membership
        .configs
        .into_iter()
        .map(|voters| voters.raft_ids.into_iter().map(RaftId).collect())
        .collect();
    Membership::new(configs, members).map_err(|e| ConvertError::wrong("membership", e))
}

pub(crate) fn meta_to_wire(meta: &SnapshotMeta) -> wire::RaftSnapshotMeta {
    wire::RaftSnapshotMeta {
        last_log_id: meta.last_log_id.as_ref().map(log_id_to_wire),
        membership_log_id: meta.last_membership.log_id().as_ref().map(log_id_to_wire),
        membership: Some(membership_to_wire(meta.last_membership.membership())),
    }
}

pub(crate) fn meta_from_wire(meta: wire::RaftSnapshotMeta) -> Result<SnapshotMeta, ConvertError> {
    let membership = required("meta.membership", meta.membership)?;
    Ok(SnapshotMeta {
        last_log_id: meta.last_log_id.map(log_id_from_wire),
        last_membership: StoredMembership::new(
            meta.membership_log_id.map(log_id_from_wire),
            membership_from_wire(membership)?,
        ),
    })
}
