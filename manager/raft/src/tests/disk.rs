use super::suite::Nothing;
use crate::Damage;
use crate::Dialer;
use crate::Member;
use crate::ProposeError;
use crate::RaftConfig;
use crate::RaftId;
use crate::RaftNode;
use crate::RecordError;
use crate::StartError;
use crate::directory::open_dir;
use crate::engine::Engine;
use crate::engine::Op;
use crate::layout;
use crate::seal::Place;
use crate::seal::SealError;
use crate::seal::Sealer;
use crate::seal::Sealing;
use crate::types::Entry;
use crate::types::LeaderId;
use crate::types::LogId;
use crate::types::Payload;
use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use weft_proto::ClusterId;
use weft_proto::NodeId;

pub(super) struct NoPeers;

impl Dialer for NoPeers {
    fn channel(&self, _member: &Member) -> Channel {
        Endpoint::from_static("http://127.0.0.1:1").connect_lazy()
    }
}

pub(super) fn config(dir: &Path) -> RaftConfig {
    let me = Member {
        raft_id: RaftId(1),
        node_id: NodeId::from_entropy(1),
        addr: ([127, 0, 0, 1], 1).into(),
    };
    RaftConfig::new(me, ClusterId::from_entropy(7), dir)
}

async fn start(config: RaftConfig) -> Result<RaftNode, StartError> {
    RaftNode::start(config, Arc::new(Nothing), Arc::new(NoPeers)).await
}

/// A founded cluster of one with some entries, shut down.
async fn written(dir: &TempDir) -> u64 {
    let node = start(config(dir.path())).await.unwrap();
    node.bootstrap().await.unwrap();
    let mut last = 0;
    for i in 0..20_u8 {
        last = node.propose(vec![i; 300]).await.unwrap().index;
    }
    node.shutdown().await;
    last
}

/// Changes a stopped member's log, with every checksum right.
fn tamper(dir: &TempDir, change: Op) {
    let mut opened = open_dir(&config(dir.path())).unwrap();
    opened.engine.commit(vec![change], true).unwrap();
}

#[tokio::test]
async fn a_restarted_member_has_everything_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let last = written(&dir).await;
    let node = start(config(dir.path())).await.unwrap();
    let soon = Instant::now() + Duration::from_secs(20);
    node.wait_applied(last, soon).await.unwrap();
    assert_eq!(
        node.bootstrap().await,
        Err(crate::BootstrapError::AlreadyInitialised)
    );
    node.shutdown().await;
    assert_eq!(node.propose(vec![1]).await, Err(ProposeError::Stopped));
}

#[tokio::test]
async fn large_commands_survive_a_restart_and_too_large_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(config(dir.path())).await.unwrap();
    node.bootstrap().await.unwrap();
    let index = node.propose(vec![7; 1 << 20]).await.unwrap().index;
    let refused = node.propose(vec![7; (1 << 20) + 1]).await;
    assert!(matches!(refused, Err(ProposeError::TooLarge { .. })));
    node.shutdown().await;
    let image = open_dir(&config(dir.path())).unwrap().image;
    assert!(image.entries.contains_key(&index));
}

#[tokio::test]
async fn a_damaged_record_makes_the_start_fail_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let last = written(&dir).await;
    let record = b"E\x01 not a record".to_vec();
    tamper(
        &dir,
        Op::Entry {
            index: last,
            record,
        },
    );
    let error = start(config(dir.path())).await.unwrap_err();
    let StartError::Record { record, source } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*source, RecordError::Checksum);
    assert_eq!(*record, format!("entry {last}"));
}

#[tokio::test]
async fn a_missing_entry_makes_the_start_fail() {
    let dir = tempfile::tempdir().unwrap();
    let last = written(&dir).await;
    let far = layout::put_entry(&Entry {
        log_id: LogId {
            leader_id: LeaderId {
                term: 1,
                node_id: RaftId(1),
            },
            index: last + 5,
        },
        payload: Payload::Blank,
    });
    tamper(&dir, far);
    let error = start(config(dir.path())).await.unwrap_err();
    assert!(
        matches!(error, StartError::MissingEntry { index } if index == last + 1),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_damaged_snapshot_makes_the_start_fail() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(config(dir.path())).await.unwrap();
    node.bootstrap().await.unwrap();
    node.propose(vec![1]).await.unwrap();
    node.build_snapshot().await;
    let mut status = node.status();
    status
        .wait_for(|status| status.snapshot.is_some())
        .await
        .unwrap();
    node.shutdown().await;
    let path = dir.path().join("snapshot/current");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = start(config(dir.path())).await.unwrap_err();
    assert!(matches!(error, StartError::Snapshot { .. }), "{error:?}");
}

#[tokio::test]
async fn a_directory_of_another_member_or_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(&dir).await;
    let mut other = config(dir.path());
    other.cluster = ClusterId::from_entropy(8);
    let error = start(other).await.unwrap_err();
    assert!(matches!(error, StartError::OtherOwner { .. }), "{error:?}");
    let mut other = config(dir.path());
    other.me.raft_id = RaftId(2);
    let error = start(other).await.unwrap_err();
    assert!(matches!(error, StartError::OtherOwner { .. }), "{error:?}");
}

/// Passes everything on until told to fail, or to hang.
pub(super) struct Failing {
    pub(super) inner: Box<dyn Engine>,
    pub(super) fail: Arc<AtomicBool>,
    pub(super) hang: Arc<AtomicBool>,
}

impl Engine for Failing {
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
        while self.hang.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected"));
        }
        self.inner.commit(ops, durable)
    }
}

async fn on_failing_disk(
    dir: &TempDir,
    dead_disk: Duration,
) -> (RaftNode, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (fail, hang) = (Arc::default(), Arc::default());
    let mut config = config(dir.path());
    config.dead_disk = dead_disk;
    let mut opened = open_dir(&config).unwrap();
    opened.engine = Box::new(Failing {
        inner: opened.engine,
        fail: Arc::clone(&fail),
        hang: Arc::clone(&hang),
    });
    let node = RaftNode::start_opened(config, opened, Arc::new(Nothing), Arc::new(NoPeers))
        .await
        .unwrap();
    node.bootstrap().await.unwrap();
    node.propose(vec![1]).await.unwrap();
    (node, fail, hang)
}

#[tokio::test]
async fn a_failed_write_is_a_fault_and_never_an_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let (node, fail, _) = on_failing_disk(&dir, Duration::from_secs(30)).await;
    fail.store(true, Ordering::SeqCst);
    let error = node.propose(vec![2]).await.unwrap_err();
    assert!(matches!(error, ProposeError::Failed { .. }), "{error:?}");
    assert!(node.failed().await.contains("injected"));
    fail.store(false, Ordering::SeqCst);
    let error = node.propose(vec![3]).await.unwrap_err();
    assert!(matches!(error, ProposeError::Failed { .. }), "{error:?}");
    node.status()
        .wait_for(|status| status.fatal.is_some())
        .await
        .unwrap();
    node.shutdown().await;
}

#[tokio::test]
async fn a_disk_that_hangs_too_long_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _, hang) = on_failing_disk(&dir, Duration::from_millis(300)).await;
    hang.store(true, Ordering::SeqCst);
    let proposal = tokio::spawn({
        let node = node.clone();
        async move { node.propose(vec![2]).await }
    });
    assert!(node.failed().await.contains("has not finished a write"));
    hang.store(false, Ordering::SeqCst);
    drop(proposal.await.unwrap());
    node.shutdown().await;
}

/// Not a cipher: enough to see whether every byte goes through it and for which place.
struct Xor(u8);

impl Sealer for Xor {
    fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let head = place.associated_data();
        Ok(head.iter().chain(plain).map(|b| b ^ self.0).collect())
    }

    fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let plain: Vec<u8> = sealed.iter().map(|b| b ^ self.0).collect();
        let content = plain.strip_prefix(place.associated_data().as_slice());
        let content = content.ok_or_else(|| SealError::new("another key or place"))?;
        Ok(content.to_vec())
    }
}

/// A state of one text, to see it in snapshots.
struct Canary;

const CANARY: &[u8] = b"canary-canary-canary";

impl crate::StateMachine for Canary {
    fn apply(&self, _index: u64, _command: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn advance(&self, _index: u64) {}
    fn snapshot(&self) -> crate::Capture {
        Box::new(|out| out.write_all(CANARY))
    }
    fn restore(&self, _index: u64, bytes: &mut dyn Read) -> Result<(), crate::RestoreError> {
        let mut found = Vec::new();
        bytes.read_to_end(&mut found).unwrap();
        assert_eq!(found, CANARY);
        Ok(())
    }
}

pub(super) fn files_under(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_under(&path),
            false => vec![path],
        })
        .collect()
}

#[tokio::test]
async fn a_sealed_directory_shows_nothing_and_opens_only_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = |key| {
        let mut config = config(dir.path());
        config.sealing = Sealing::with(Arc::new(Xor(key)));
        config
    };
    let node = RaftNode::start(sealed(0x5a), Arc::new(Canary), Arc::new(NoPeers));
    let node = node.await.unwrap();
    node.bootstrap().await.unwrap();
    node.propose(CANARY.to_vec()).await.unwrap();
    node.build_snapshot().await;
    let mut status = node.status();
    status
        .wait_for(|status| status.snapshot.is_some())
        .await
        .unwrap();
    let last = node.propose(CANARY.to_vec()).await.unwrap().index;
    node.shutdown().await;
    for path in files_under(dir.path()) {
        let bytes = std::fs::read(&path).unwrap();
        let shows = bytes.windows(CANARY.len()).any(|window| window == CANARY);
        assert!(!shows, "{} shows the command", path.display());
    }
    let without = start(config(dir.path())).await.unwrap_err();
    let no_key = |e: &StartError| {
        matches!(
            e,
            StartError::Damaged {
                source: Damage::Record(RecordError::NoKey),
                ..
            }
        )
    };
    assert!(no_key(&without) && !without.is_damage(), "{without:?}");
    let other = start(sealed(1)).await.unwrap_err();
    let unseal = |e: &StartError| {
        matches!(
            e,
            StartError::Damaged {
                source: Damage::Record(RecordError::Unseal(_)),
                ..
            }
        )
    };
    assert!(unseal(&other), "{other:?}");
    let node = RaftNode::start(sealed(0x5a), Arc::new(Canary), Arc::new(NoPeers));
    let node = node.await.unwrap();
    let soon = Instant::now() + Duration::from_secs(20);
    node.wait_applied(last, soon).await.unwrap();
    node.shutdown().await;
}

#[tokio::test]
async fn a_log_that_begins_with_a_state_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let begin = 1 << 40;
    let new = config(&dir.path().join("raft"));
    crate::found_with_state(&new, begin, b"state").unwrap();
    let twice = crate::found_with_state(&new, begin, b"state");
    assert!(twice.is_err(), "never over another log");
    let node = start(new.clone()).await.unwrap();
    let leads = |status: &crate::RaftStatus| status.is_leader;
    let mut status = node.status();
    tokio::time::timeout(Duration::from_secs(20), status.wait_for(leads))
        .await
        .unwrap()
        .unwrap();
    let index = node.propose(vec![1]).await.unwrap().index;
    assert!(index > begin, "{index}");
    assert_eq!(node.status().borrow().voters.len(), 1);
    node.shutdown().await;
    let again = start(new).await.unwrap();
    let soon = Instant::now() + Duration::from_secs(20);
    again.wait_applied(index, soon).await.unwrap();
    again.shutdown().await;
}
