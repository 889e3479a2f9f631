//! A disk that loses what was not synced, is slow, and fails, as it is told.

use crate::engine::Engine;
use crate::engine::Op;
use crate::engine::Pair;
use parking_lot::Mutex;
use std::collections::BTreeMap;
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
    synced: BTreeMap<Vec<u8>, Vec<u8>>,
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
            .field("synced", &disk.synced.len())
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
            match op {
                Op::Put { key, value } => self.synced.insert(key, value),
                Op::Remove { key } => self.synced.remove(&key),
            };
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

    fn scan(&self) -> Box<dyn Iterator<Item = io::Result<Pair>> + '_> {
        let pairs: Vec<Pair> = self.disk.lock().synced.clone().into_iter().collect();
        Box::new(pairs.into_iter().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8]) -> Vec<Op> {
        vec![Op::Put {
            key: key.to_vec(),
            value: Vec::new(),
        }]
    }

    fn keys(disk: &SimDisk) -> Vec<Vec<u8>> {
        let engine = disk.engine();
        let keys = engine.scan().map(|pair| pair.unwrap().0);
        keys.collect()
    }

    #[test]
    fn a_crash_loses_what_was_not_synced_but_perhaps_not_all_of_it() {
        let disk = SimDisk::new();
        let mut engine = disk.engine();
        engine.commit(put(b"a"), true).unwrap();
        engine.commit(put(b"b"), false).unwrap();
        engine.commit(put(b"c"), false).unwrap();
        disk.crash(|unsynced| unsynced - 1);
        assert_eq!(keys(&disk), [b"a", b"b"]);
        assert!(engine.commit(put(b"d"), true).is_err(), "it is dead");
        assert!(disk.engine().commit(put(b"d"), true).is_ok());
    }

    #[test]
    fn a_lying_disk_loses_what_it_called_synced() {
        let disk = SimDisk::new();
        disk.set_lying(true);
        disk.engine().commit(put(b"a"), true).unwrap();
        disk.crash(|_| 0);
        assert!(keys(&disk).is_empty());
    }
}
