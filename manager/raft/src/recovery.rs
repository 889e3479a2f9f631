//! Bringing a cluster back whose majority is lost for good.

use crate::config::RaftConfig;
use crate::directory::Opened;
use crate::directory::open_dir;
use crate::engine::Op;
use crate::error::StartError;
use crate::layout;
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
use std::io::Write;

/// Makes the member of a stopped directory the only member of its cluster, keeping all it has.
///
/// For when a majority is lost for good and nobody else will ever come back under the old
/// membership: a majority that is alive elsewhere would go on as a second cluster. Entries that
/// were not acknowledged by a majority become part of the state; entries that only lost members
/// had are lost. Then start the member as usual; it elects itself. Blocks on the disk.
pub fn force_new_cluster(config: &RaftConfig) -> Result<(), StartError> {
    let Opened {
        mut engine,
        image,
        snapshots,
    } = open_dir(config)?;
    let in_snapshot = snapshots.current().and_then(|s| s.meta.last_log_id);
    let mut ops = Vec::new();
    if in_snapshot > image.last() {
        // The log ends before the snapshot: nothing of it is needed, and it must have no hole.
        ops.push(Op::Truncate { first: 0 });
        ops.extend(in_snapshot.iter().flat_map(layout::purge));
    }
    let last = in_snapshot
        .max(image.last())
        .ok_or(StartError::NothingToRecover)?;
    let voted = image.vote.map_or(0, |vote| vote.leader_id.term);
    let leader_id = LeaderId {
        term: voted.max(last.leader_id.term) + 1,
        node_id: config.me.raft_id,
    };
    let log_id = LogId {
        leader_id,
        index: last.index + 1,
    };
    let membership = alone(config)?;
    let entry = Entry {
        log_id,
        payload: Payload::Membership(membership),
    };
    ops.push(layout::put_entry(&entry));
    ops.push(layout::put_committed(Some(&log_id)));
    ops.push(layout::put_vote(&Vote {
        leader_id,
        committed: true,
    }));
    engine
        .commit(ops, true)
        .map_err(|source| StartError::WriteLog { source })
}

/// Founds a cluster of this member alone, in a directory that does not exist yet, whose state is
/// `state` (as the application's snapshot) at entry `index`. Then start the member as usual; it
/// elects itself. A directory that a crash left half made is of no use. Blocks on the disk.
pub fn found_with_state(config: &RaftConfig, index: u64, state: &[u8]) -> Result<(), StartError> {
    let opened = open_dir(config)?;
    if opened.image.last().is_some() || opened.snapshots.current().is_some() {
        return Err(StartError::Recover {
            reason: "the directory is in use already".to_owned(),
        });
    }
    let last = LogId {
        leader_id: LeaderId {
            term: 1,
            node_id: config.me.raft_id,
        },
        index,
    };
    let meta = SnapshotMeta {
        last_log_id: Some(last),
        last_membership: StoredMembership::new(Some(last), alone(config)?),
    };
    let written = || {
        let mut writer = opened.snapshots.begin(meta)?;
        writer.write_all(state)?;
        opened.snapshots.install(&writer.finish()?)
    };
    written().map_err(|source| StartError::OpenSnapshot {
        path: config.dir.clone(),
        source,
    })?;
    // Frees the directory.
    drop(opened);
    force_new_cluster(config)
}

/// The membership of this member alone.
fn alone(config: &RaftConfig) -> Result<Membership, StartError> {
    let voters = vec![BTreeSet::from([config.me.raft_id])];
    let members = BTreeMap::from([(config.me.raft_id, Peer::from(config.me))]);
    Membership::new(voters, members).map_err(|e| StartError::Recover {
        reason: e.to_string(),
    })
}
