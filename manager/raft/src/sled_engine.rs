//! The log on sled 0.34.

use crate::engine::Engine;
use crate::engine::Op;
use crate::engine::Pair;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Pages kept in memory. sled defaults to 1 GiB; it is read only at start here.
const CACHE_BYTES: u64 = 16 << 20;

/// One sled database. Everything is in its one default tree, because a sled batch is atomic
/// within a tree only.
pub(crate) struct SledEngine {
    db: sled::Db,
    /// The file sled writes its log to. `sled::Db::flush` ends in `sync_file_range`, which
    /// flushes neither the drive's cache nor the file's growth, so it is synced through this.
    file: File,
    /// Dropped last, in the order of the fields.
    _released: Released,
}

/// Waits, when dropped, until sled has let go of its directory. sled's own threads keep it locked
/// for some milliseconds after the database is dropped, and a member that is started again at
/// once would be refused.
struct Released(PathBuf);

/// After this, the next one to open the directory gets to know.
const RELEASE: Duration = Duration::from_secs(2);

impl Drop for Released {
    fn drop(&mut self) {
        let pause = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while waited < RELEASE {
            // The lock that sled takes, taken and given back.
            match File::open(&self.0).map(|file| file.try_lock()) {
                Ok(Err(TryLockError::WouldBlock)) => {}
                Ok(Ok(()) | Err(TryLockError::Error(_))) | Err(_) => return,
            }
            std::thread::sleep(pause);
            waited += pause;
        }
    }
}

impl SledEngine {
    /// Opens or creates the database in `dir`. Fails when another process has it open.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            // The writer flushes when it has to; a flusher of sled's own would only add writes.
            .flush_every_ms(None)
            .open()?;
        db.flush()?;
        let path = dir.join("db");
        let file = File::open(&path)?;
        file.sync_all()?;
        sync_dir(dir)?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent)?;
        }
        Ok(SledEngine {
            db,
            file,
            _released: Released(path),
        })
    }
}

impl Engine for SledEngine {
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
        // A batch keeps one change per key, the last one: the same result as in order.
        let mut batch = sled::Batch::default();
        for op in ops {
            match op {
                Op::Put { key, value } => batch.insert(key, value),
                Op::Remove { key } => batch.remove(key),
            }
        }
        self.db.apply_batch(batch)?;
        if durable {
            self.db.flush()?;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn scan(&self) -> Box<dyn Iterator<Item = io::Result<Pair>> + '_> {
        Box::new(self.db.iter().map(|pair| {
            let (key, value) = pair?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }
}

/// Makes names in `dir` durable: a new file is lost with its directory entry.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
