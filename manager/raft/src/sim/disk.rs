//! A disk that loses what was not synced, is slow, and fails, as it is told.

use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Op;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long each sync takes.
pub type SyncTime = Box<dyn FnMut() -> Duration + Send>;

/// The disk of one member. Clones are the same disk; it outlives the member.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    /// What a crash does not touch.
    synced: Contents,
    /// Written and not synced, oldest first.
    unsynced: Vec<Vec<Op>>,
    /// Which engine may write: those of killed members may not.
    life: u64,
    sync_time: Option<SyncTime>,
    fails: bool,
    lies: bool,
    syncs: u64,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.0.lock();
        f.debug_struct("SimDisk")
            .field("synced", &disk.synced.entries.len())
            .field("unsynced", &disk.unsynced.len())
            .field("fails", &disk.fails)
            .finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk whose syncs take no time.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// From now on each sync takes as long as this says.
    pub fn set_sync_time(&self, time: SyncTime) {
        self.0.lock().sync_time = Some(time);
    }

    /// From now on every write fails, or none does.
    pub fn set_failing(&self, fails: bool) {
        self.0.lock().fails = fails;
    }

    /// A disk that says "synced" and is not, as one with a volatile cache does: a fault that the
    /// log cannot stand, to see that it is noticed.
    pub fn set_lying(&self, lies: bool) {
        self.0.lock().lies = lies;
    }

    /// The member dies. Of the writes that were not synced, `keep` says how many of the oldest
    /// reached the disk all the same, given how many there are. Whoever used the disk until now
    /// cannot write any more.
    pub fn crash(&self, keep: impl FnOnce(usize) -> usize) {
        let mut disk = self.0.lock();
        let kept = keep(disk.unsynced.len()).min(disk.unsynced.len());
        let unsynced = std::mem::take(&mut disk.unsynced);
        for ops in unsynced.into_iter().take(kept) {
            disk.take(ops);
        }
        disk.life += 1;
        disk.fails = false;
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// What a member that starts now finds.
    pub(super) fn contents(&self) -> Contents {
        self.0.lock().synced.clone()
    }

    pub(super) fn engine(&self) -> Box<dyn Engine> {
        Box::new(SimEngine {
            disk: Arc::clone(&self.0),
            life: self.0.lock().life,
        })
    }
}

impl Disk {
    fn take(&mut self, ops: Vec<Op>) {
        for op in ops {
            self.synced.apply(op);
        }
    }
}

struct SimEngine {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

impl Engine for SimEngine {
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.life != self.life {
            return Err(io::Error::other("the member was killed"));
        }
        if disk.fails {
            return Err(io::Error::other("the disk fails"));
        }
        if !ops.is_empty() {
            disk.unsynced.push(ops);
        }
        if durable {
            disk.syncs += 1;
            if !disk.lies {
                for ops in std::mem::take(&mut disk.unsynced) {
                    disk.take(ops);
                }
            }
        }
        Ok(())
    }

    fn sync_time(&mut self) -> Duration {
        let mut disk = self.disk.lock();
        disk.sync_time
            .as_mut()
            .map_or(Duration::ZERO, |time| time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(index: u64) -> Vec<Op> {
        let record = Vec::new();
        vec![Op::Entry { index, record }]
    }

    fn indices(disk: &SimDisk) -> Vec<u64> {
        disk.contents().entries.into_keys().collect()
    }

    #[test]
    fn a_crash_loses_what_was_not_synced_but_perhaps_not_all_of_it() {
        let disk = SimDisk::new();
        let mut engine = disk.engine();
        engine.commit(put(1), true).unwrap();
        engine.commit(put(2), false).unwrap();
        engine.commit(put(3), false).unwrap();
        disk.crash(|unsynced| unsynced - 1);
        assert_eq!(indices(&disk), [1, 2]);
        assert!(engine.commit(put(4), true).is_err(), "it is dead");
        assert!(disk.engine().commit(put(4), true).is_ok());
    }

    #[test]
    fn a_lying_disk_loses_what_it_called_synced() {
        let disk = SimDisk::new();
        disk.set_lying(true);
        disk.engine().commit(put(1), true).unwrap();
        disk.crash(|_| 0);
        assert!(indices(&disk).is_empty());
    }
}
