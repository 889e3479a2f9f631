//! Power cuts: whatever was not synced is gone, and the rest may be there or not.

use super::disk::NoPeers;
use super::disk::config;
use crate::RaftNode;
use crate::Timing;
use crate::directory::open_with;
use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Op;
use crate::image::Image;
use crate::seal::Sealing;
use crate::state_machine::Capture;
use crate::state_machine::RestoreError;
use crate::state_machine::StateMachine;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A disk in memory with a log of its commits, so that it can be cut off after any of them.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Vec<Commit>>>);

/// Its changes, and whether it was synced.
type Commit = (Vec<Op>, bool);

impl Disk {
    fn commits(&self) -> usize {
        self.0.lock().len()
    }

    /// What a power cut leaves that strikes when `upto` commits were made and of those that were
    /// not synced only `kept` had reached the disk by themselves.
    fn after_cut(&self, upto: usize, kept: usize) -> Disk {
        let commits = self.0.lock();
        let synced = commits[..upto].iter().rposition(|(_, durable)| *durable);
        let synced = synced.map_or(0, |last| last + 1);
        Disk(Arc::new(Mutex::new(
            commits[..upto.min(synced + kept)].to_vec(),
        )))
    }
}

impl Engine for Disk {
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
        self.0.lock().push((ops, durable));
        Ok(())
    }
}

impl Disk {
    fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for op in self.0.lock().iter().flat_map(|(ops, _)| ops.clone()) {
            contents.apply(op);
        }
        contents
    }
}

/// The set of commands seen.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<u8>>);

impl StateMachine for Seen {
    fn apply(&self, _index: u64, command: &[u8]) -> Vec<u8> {
        self.0.lock().extend(command);
        Vec::new()
    }
    fn advance(&self, _index: u64) {}
    fn snapshot(&self) -> Capture {
        let seen: Vec<u8> = self.0.lock().iter().copied().collect();
        Box::new(move |out| out.write_all(&seen))
    }
    fn restore(&self, _index: u64, bytes: &mut dyn Read) -> Result<(), RestoreError> {
        let mut seen = Vec::new();
        bytes
            .read_to_end(&mut seen)
            .map_err(|e| RestoreError(Box::new(e)))?;
        *self.0.lock() = seen.into_iter().collect();
        Ok(())
    }
}

async fn run(disk: Disk, dir: &std::path::Path) -> (RaftNode, Arc<Seen>) {
    let mut config = config(dir);
    config.snapshot_every = 7;
    config.keep_entries = 2;
    // Alone, it has nobody to wait for.
    config.timing = Timing {
        heartbeat: Duration::from_millis(5),
        election_min: Duration::from_millis(10),
        election_max: Duration::from_millis(20),
    };
    let image = Image::load(&disk.contents()).unwrap();
    let opened = open_with(Box::new(disk), image, dir, Sealing::default()).unwrap();
    let seen = Arc::new(Seen::default());
    let app: Arc<dyn StateMachine> = seen.clone();
    let node = RaftNode::start_opened(config, opened, app, Arc::new(NoPeers)).await;
    (node.unwrap(), seen)
}

#[tokio::test]
async fn after_a_power_cut_at_any_write_every_acknowledged_command_is_there() {
    const COMMANDS: u8 = 40;
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let (node, _) = run(disk.clone(), dir.path()).await;
    node.bootstrap().await.unwrap();
    // After so many commits, the command was acknowledged; and the snapshot file of then.
    let snapshot = dir.path().join("snapshot/current");
    let mut acknowledged = Vec::new();
    for command in 0..COMMANDS {
        node.propose(vec![command]).await.unwrap();
        acknowledged.push((disk.commits(), std::fs::read(&snapshot).ok()));
        if command == COMMANDS / 2 {
            // Half of the cuts strike after entries were purged in favour of a snapshot.
            let mut status = node.status();
            let purged = status.wait_for(|status| status.purged.is_some());
            timeout(Duration::from_secs(20), purged)
                .await
                .unwrap()
                .unwrap();
        }
    }
    node.shutdown().await;

    for (command, (commits, snapshot)) in (0..).zip(&acknowledged) {
        for kept in [0, usize::MAX / 2] {
            let after = tempfile::tempdir().unwrap();
            if let Some(snapshot) = snapshot {
                std::fs::create_dir(after.path().join("snapshot")).unwrap();
                std::fs::write(after.path().join("snapshot/current"), snapshot).unwrap();
            }
            let cut = disk.after_cut(*commits, kept);
            let (node, seen) = run(cut, after.path()).await;
            let mut status = node.status();
            let applied = status.wait_for(|s| s.is_leader && s.last_applied == s.last_log);
            applied.await.unwrap();
            let expected: BTreeSet<u8> = (0..=command).collect();
            assert!(
                seen.0.lock().is_superset(&expected),
                "cut after {commits} commits ({kept} kept): lost some of 0..={command}"
            );
            node.shutdown().await;
        }
    }
}
