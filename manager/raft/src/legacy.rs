//! The log on sled 0.34, as the first release kept it. Read to take such a log over (see
//! `migrate`), and written to only by what measures sled against our own files.
//!
//! ```text
//! "m" name                            vote, purged, committed, identity
//! "e" index (u64 BE) part (u16 BE)    one part of an entry's record; parts count from 0
//! ```

use crate::disk::sync_dir;
use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Meta;
use crate::engine::Op;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Longest value sled is given; longer records are cut into several pairs. sled moves values over
/// 128 KiB into files of their own, which it never syncs.
const VALUE_BYTES: usize = 48 * 1024;

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

impl SledEngine {
    /// Everything in it, the parts of each record put together again.
    pub(crate) fn contents(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        for pair in self.db.iter() {
            let (key, value) = pair?;
            match name(&key) {
                Some(Name::Part { index, part }) => {
                    let parts = contents.entries.entry(index).or_default();
                    // A missing part is noticed by the record's checksum, unless it is the first.
                    if parts.is_empty() && part != 0 {
                        return Err(foreign(&key));
                    }
                    parts.extend_from_slice(&value);
                }
                Some(Name::Meta(meta)) => {
                    contents.metas.insert(meta, value.to_vec());
                }
                None => return Err(foreign(&key)),
            }
        }
        Ok(contents)
    }

    fn remove(&self, batch: &mut sled::Batch, first: u64, last: u64) -> io::Result<()> {
        let range = part_key(first, 0)..=part_key(last, u16::MAX);
        for key in self.db.range(range).keys() {
            batch.remove(key?);
        }
        Ok(())
    }
}

/// Writing is for what compares this engine with ours.
impl Engine for SledEngine {
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
        // A batch keeps one change per key, the last one: the same result as in order.
        let mut batch = sled::Batch::default();
        for op in ops {
            match op {
                Op::Entry { index, record } => {
                    self.remove(&mut batch, index, index)?;
                    for (part, value) in (0..u16::MAX).zip(record.chunks(VALUE_BYTES)) {
                        batch.insert(part_key(index, part), value);
                    }
                }
                Op::Truncate { first } => self.remove(&mut batch, first, u64::MAX)?,
                Op::Purge { upto } => self.remove(&mut batch, 0, upto)?,
                Op::Meta { name, record } if record.is_empty() => batch.remove(meta_key(name)),
                Op::Meta { name, record } => batch.insert(meta_key(name), record),
            }
        }
        self.db.apply_batch(batch)?;
        if durable {
            self.db.flush()?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// What a key names.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Meta(Meta),
    Part { index: u64, part: u16 },
}

fn name(key: &[u8]) -> Option<Name> {
    if let Some((&b'e', place)) = key.split_first() {
        let (index, part) = place.split_first_chunk::<8>()?;
        return Some(Name::Part {
            index: u64::from_be_bytes(*index),
            part: u16::from_be_bytes(part.try_into().ok()?),
        });
    }
    let meta = Meta::ALL.into_iter().find(|meta| meta_key(*meta) == key);
    meta.map(Name::Meta)
}

fn part_key(index: u64, part: u16) -> Vec<u8> {
    let mut key = vec![b'e'];
    key.extend(index.to_be_bytes());
    key.extend(part.to_be_bytes());
    key
}

fn meta_key(meta: Meta) -> Vec<u8> {
    format!("m{}", meta.name()).into_bytes()
}

fn foreign(key: &[u8]) -> io::Error {
    let key = String::from_utf8_lossy(key).into_owned();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the log holds an unknown key {key:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_entries_sort_by_index_then_part_and_are_read_back() {
        let keys = [
            part_key(1, 0),
            part_key(1, 1),
            part_key(2, 0),
            part_key(256, 0),
        ];
        assert!(keys.is_sorted());
        assert_eq!(name(&keys[1]), Some(Name::Part { index: 1, part: 1 }));
        assert_eq!(name(&meta_key(Meta::Vote)), Some(Name::Meta(Meta::Vote)));
    }

    #[test]
    fn unknown_keys_are_foreign() {
        for key in [&b"x"[..], b"e12", b"", b"mother"] {
            assert_eq!(name(key), None);
        }
    }
}
