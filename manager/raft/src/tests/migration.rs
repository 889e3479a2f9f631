//! Directories of the first release: a log in sled, a snapshot in one piece, nothing sealed.

use super::disk::NoPeers;
use super::disk::config;
use crate::DataKey;
use crate::DataKeys;
use crate::RaftConfig;
use crate::RaftId;
use crate::RaftNode;
use crate::StartError;
use crate::convert::meta_to_wire;
use crate::directory::is_written;
use crate::directory::open_dir;
use crate::disk::sync_dir;
use crate::engine::Engine;
use crate::engine::Meta;
use crate::engine::Op;
use crate::image::Image;
use crate::layout;
use crate::legacy::SledEngine;
use crate::records;
use crate::records::Kind;
use crate::seal::Sealing;
use crate::tests::suite::Nothing;
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
use prost::Message;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weft_proto::wire;

const STATE: &[u8] = b"the state that was";
const SECRET: &[u8] = b"secret-secret-secret";
const PURGED: u64 = 20;
const LAST: u64 = 60;

fn log_id(index: u64) -> LogId {
    LogId {
        leader_id: LeaderId {
            term: 3,
            node_id: RaftId(1),
        },
        index,
    }
}

/// What the first release wrote, byte for byte.
fn legacy(dir: &Path) {
    let config = config(dir);
    let identity = wire::RaftIdentity {
        cluster: config.cluster.to_string(),
        raft_id: config.me.raft_id.0,
    };
    let mut engine = SledEngine::open(&dir.join("log")).unwrap();
    let record = records::seal(Kind::Identity, 0, &identity);
    let name = Meta::Identity;
    engine
        .commit(vec![Op::Meta { name, record }], true)
        .unwrap();
    for index in PURGED + 1..=LAST {
        let command = [SECRET, &vec![b'x'; usize::try_from(index).unwrap() * 2000]].concat();
        let entry = Entry {
            log_id: log_id(index),
            payload: Payload::Normal(Command(command.into())),
        };
        engine
            .commit(vec![layout::put_entry(&entry)], true)
            .unwrap();
    }
    let mut ops = layout::purge(&log_id(PURGED)).to_vec();
    ops.push(layout::put_committed(Some(&log_id(LAST))));
    ops.push(layout::put_vote(&Vote {
        leader_id: log_id(0).leader_id,
        committed: true,
    }));
    engine.commit(ops, true).unwrap();
    drop(engine);

    let members = BTreeMap::from([(config.me.raft_id, Peer::from(config.me))]);
    let voters = vec![BTreeSet::from([config.me.raft_id])];
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(PURGED)),
        last_membership: StoredMembership::new(
            Some(log_id(1)),
            Membership::new(voters, members).unwrap(),
        ),
    };
    let head = wire::RaftSnapshotHead {
        meta: Some(meta_to_wire(&meta)),
        size: STATE.len().try_into().unwrap(),
        checksum: crc32c::crc32c(STATE),
        ..wire::RaftSnapshotHead::default()
    };
    let head = records::wrap(Kind::Snapshot, 0, false, &head.encode_to_vec());
    let len = u32::try_from(head.len()).unwrap().to_le_bytes();
    std::fs::create_dir_all(dir.join("snapshot")).unwrap();
    let file = [&len[..], &head, STATE].concat();
    std::fs::write(dir.join("snapshot/current"), file).unwrap();
    sync_dir(dir).unwrap();
}

fn sealed(dir: &Path) -> RaftConfig {
    let mut config = config(dir);
    let keys = DataKeys::new(DataKey::new(1, [1; 32]), Vec::new());
    config.sealing = Sealing::with(Arc::new(keys));
    config
}

fn check(image: &Image) {
    assert_eq!(image.purged, Some(log_id(PURGED)));
    assert_eq!(image.committed, Some(log_id(LAST)));
    assert_eq!(image.vote.map(|vote| vote.leader_id.term), Some(3));
    let indices: Vec<u64> = image.entries.keys().copied().collect();
    assert_eq!(indices, (PURGED + 1..=LAST).collect::<Vec<_>>());
}

#[test]
fn a_directory_of_the_first_release_is_taken_over_and_sealed() {
    let dir = tempfile::tempdir().unwrap();
    legacy(dir.path());
    assert!(!is_written(dir.path()), "no key is needed to read it");
    let config = sealed(dir.path());
    let opened = open_dir(&config).unwrap();
    check(&opened.image);
    let snapshot = opened.snapshots.current().unwrap();
    let mut state = Vec::new();
    snapshot.reader().read_to_end(&mut state).unwrap();
    assert_eq!(state, STATE);
    drop(opened);
    assert!(
        !dir.path().join("log").exists(),
        "what anybody can read is gone"
    );
    for path in super::disk::files_under(dir.path()) {
        let bytes = std::fs::read(&path).unwrap();
        for text in [STATE, SECRET] {
            let shows = bytes.windows(text.len()).any(|window| window == text);
            assert!(!shows, "{} is readable", path.display());
        }
    }
    check(&open_dir(&config).unwrap().image);
}

#[tokio::test]
async fn a_member_of_the_first_release_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    legacy(dir.path());
    let config = sealed(dir.path());
    let node = RaftNode::start(config, Arc::new(Nothing), Arc::new(NoPeers));
    let node = node.await.unwrap();
    let soon = Instant::now() + Duration::from_secs(20);
    node.wait_applied(LAST, soon).await.unwrap();
    node.status().wait_for(|s| s.is_leader).await.unwrap();
    assert!(node.propose(vec![1]).await.unwrap().index > LAST);
    node.shutdown().await;
}

/// Everything that a crash may leave between two steps of taking over, then started again.
#[test]
fn taking_over_may_be_cut_off_after_any_step() {
    let unfinished_log = |dir: &Path| {
        std::fs::create_dir(dir.join("wal.new")).unwrap();
        std::fs::write(dir.join("wal.new/00000001.log"), b"half").unwrap();
    };
    let unfinished_snapshot = |dir: &Path| {
        std::fs::write(dir.join("snapshot/0.tmp"), b"half").unwrap();
    };
    // The snapshot is done, the log is not.
    let snapshot_only = |dir: &Path| {
        let other = tempfile::tempdir().unwrap();
        legacy(other.path());
        drop(open_dir(&sealed(other.path())).unwrap());
        let done = other.path().join("snapshot/current");
        std::fs::copy(done, dir.join("snapshot/current")).unwrap();
    };
    // Everything is done but removing the old log.
    let old_log_left = |dir: &Path| {
        let other = tempfile::tempdir().unwrap();
        legacy(other.path());
        drop(open_dir(&sealed(dir)).unwrap());
        std::fs::rename(other.path().join("log"), dir.join("log")).unwrap();
    };
    let cuts: [&dyn Fn(&Path); 4] = [
        &unfinished_log,
        &unfinished_snapshot,
        &snapshot_only,
        &old_log_left,
    ];
    for cut in cuts {
        let dir = tempfile::tempdir().unwrap();
        legacy(dir.path());
        cut(dir.path());
        let opened = open_dir(&sealed(dir.path())).unwrap();
        check(&opened.image);
        assert!(opened.snapshots.current().is_some());
        assert!(!dir.path().join("log").exists());
        assert!(!dir.path().join("wal.new").exists());
    }
}

#[test]
fn a_directory_of_the_first_release_that_is_somebody_elses_stays_untouched() {
    let dir = tempfile::tempdir().unwrap();
    legacy(dir.path());
    let mut other = sealed(dir.path());
    other.me.raft_id = RaftId(2);
    let error = open_dir(&other).err().unwrap();
    assert!(matches!(error, StartError::OtherOwner { .. }), "{error:?}");
    check(&open_dir(&sealed(dir.path())).unwrap().image);
}

#[test]
fn a_directory_whose_log_was_removed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    legacy(dir.path());
    drop(open_dir(&sealed(dir.path())).unwrap());
    std::fs::remove_dir_all(dir.path().join("wal")).unwrap();
    let error = open_dir(&sealed(dir.path())).err().unwrap();
    assert!(error.is_damage(), "{error:?}");
}

#[test]
fn a_log_whose_snapshot_was_removed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    legacy(dir.path());
    drop(open_dir(&sealed(dir.path())).unwrap());
    std::fs::remove_file(dir.path().join("snapshot/current")).unwrap();
    let error = open_dir(&sealed(dir.path())).err().unwrap();
    assert!(
        matches!(error, StartError::MissingSnapshot { purged: PURGED }),
        "{error:?}"
    );
}
