//! The snapshot file: one per member, replaced as a whole.
//!
//! ```text
//! u32 LE     length of the head's record
//! record     kind, version, checksum, RaftSnapshotHead (what it contains, size and checksum of the rest)
//! bytes      the state machine's state, sealed if the head's record says so
//! ```

use crate::convert::meta_from_wire;
use crate::convert::meta_to_wire;
use crate::convert::required;
use crate::error::StartError;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::seal::Place;
use crate::seal::Sealing;
use crate::sled_engine::sync_dir;
use crate::types::LogId;
use crate::types::Snapshot;
use crate::types::SnapshotMeta;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use weft_proto::wire;

const CURRENT: &str = "current";
const UNFINISHED: &str = "tmp";

/// Where snapshots are kept. Its methods block on the disk.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    dir: PathBuf,
    sealing: Sealing,
    /// What the current file contains, `None` without a file. Held over comparison and rename:
    /// a build that took long must not overwrite a newer snapshot installed meanwhile.
    current: Mutex<Option<Option<LogId>>>,
    unfinished: AtomicU64,
}

impl SnapshotStore {
    /// Opens or creates the directory, removes what a crash left unfinished, and checks the
    /// current snapshot.
    pub(crate) fn open(dir: &Path, sealing: Sealing) -> Result<Self, StartError> {
        let failed = |source| StartError::OpenSnapshot {
            path: dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        for file in std::fs::read_dir(dir).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if path.extension().is_some_and(|e| e == UNFINISHED) {
                std::fs::remove_file(path).map_err(failed)?;
            }
        }
        sync_dir(dir).map_err(failed)?;
        let path = dir.join(CURRENT);
        let current = match read(&path, &sealing) {
            Ok(snapshot) => snapshot.map(|s| s.meta.last_log_id),
            Err(Unreadable::Io(source)) => return Err(StartError::OpenSnapshot { path, source }),
            Err(Unreadable::Record(source)) => return Err(StartError::Snapshot { path, source }),
        };
        Ok(SnapshotStore {
            dir: dir.to_owned(),
            sealing,
            current: Mutex::new(current),
            unfinished: AtomicU64::new(0),
        })
    }

    /// The current snapshot, checked again as it is read.
    pub(crate) fn load(&self) -> io::Result<Option<Snapshot>> {
        let _current = self.current.lock();
        read(&self.dir.join(CURRENT), &self.sealing).map_err(|unreadable| match unreadable {
            Unreadable::Io(source) => source,
            Unreadable::Record(source) => io::Error::new(io::ErrorKind::InvalidData, source),
        })
    }

    /// Makes `data` the current snapshot, durably, unless the current one is as new or newer.
    /// Returns whether it did.
    pub(crate) fn save(&self, meta: &SnapshotMeta, data: &Bytes) -> io::Result<bool> {
        if self.is_superseded(*self.current.lock(), meta) {
            return Ok(false);
        }
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{number}.{UNFINISHED}"));
        write(&path, meta, data, &self.sealing)?;
        let mut current = self.current.lock();
        if self.is_superseded(*current, meta) {
            std::fs::remove_file(&path)?;
            return Ok(false);
        }
        std::fs::rename(&path, self.dir.join(CURRENT))?;
        sync_dir(&self.dir)?;
        *current = Some(meta.last_log_id);
        Ok(true)
    }

    fn is_superseded(&self, current: Option<Option<LogId>>, meta: &SnapshotMeta) -> bool {
        current.is_some_and(|current| current >= meta.last_log_id)
    }
}

enum Unreadable {
    Io(io::Error),
    Record(RecordError),
}

impl From<RecordError> for Unreadable {
    fn from(error: RecordError) -> Self {
        Unreadable::Record(error)
    }
}

fn read(path: &Path, sealing: &Sealing) -> Result<Option<Snapshot>, Unreadable> {
    let file = match std::fs::read(path) {
        Ok(file) => Bytes::from(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Unreadable::Io(e)),
    };
    let short = RecordError::Short { len: file.len() };
    let (len, rest) = file.split_first_chunk::<4>().ok_or(short.clone())?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let head = rest.get(..len).ok_or(short.clone())?;
    let (sealed, head) = records::unwrap(Kind::Snapshot, 0, head)?;
    let head: wire::RaftSnapshotHead = records::decode(head)?;
    let data = file.slice(4 + len..);
    if u64::try_from(data.len()).ok() != Some(head.size) {
        return Err(Unreadable::Record(short));
    }
    if crc32c::crc32c(&data) != head.checksum {
        return Err(Unreadable::Record(RecordError::Checksum));
    }
    let meta = required("head.meta", head.meta)
        .and_then(meta_from_wire)
        .map_err(RecordError::Field)?;
    let snapshot = match sealing.open(place(&meta), sealed, &data)? {
        Cow::Borrowed(_) => data,
        Cow::Owned(plain) => Bytes::from(plain),
    };
    Ok(Some(Snapshot { meta, snapshot }))
}

fn write(path: &Path, meta: &SnapshotMeta, data: &[u8], sealing: &Sealing) -> io::Result<()> {
    let data = sealing.seal(place(meta), data)?;
    let head = head(meta, &data).encode_to_vec();
    let head = records::wrap(Kind::Snapshot, 0, sealing.is_on(), &head);
    let len = u32::try_from(head.len()).map_err(io::Error::other)?;
    let mut file = File::create_new(path)?;
    file.write_all(&len.to_le_bytes())?;
    file.write_all(&head)?;
    file.write_all(&data)?;
    file.sync_all()
}

fn place(meta: &SnapshotMeta) -> Place {
    Place::Snapshot {
        index: meta.last_log_id.map_or(0, |last| last.index),
    }
}

/// The head of a snapshot, without the fields that only a transfer has.
pub(crate) fn head(meta: &SnapshotMeta, data: &[u8]) -> wire::RaftSnapshotHead {
    wire::RaftSnapshotHead {
        header: None,
        vote: None,
        meta: Some(meta_to_wire(meta)),
        // usize is at most 64 bits wide.
        size: u64::try_from(data.len()).unwrap_or(u64::MAX),
        checksum: crc32c::crc32c(data),
    }
}
