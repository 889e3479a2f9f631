//! The snapshot: one file per member, replaced as a whole, written and read piece by piece.
//!
//! ```text
//! bytes 0..8   "WEFTSNP2"
//! pieces       each: length u32 LE, CRC-32C u32 LE of number (u64 LE) and bytes, bytes
//!              (sealed if the end's record says so)
//! record       kind, version, checksum, RaftSnapshotEnd (what it contains, size, checksum)
//! last 12      length of that record u32 LE, "WEFTSEND"
//! ```

mod read;
mod write;

use crate::convert::meta_from_wire;
use crate::convert::meta_to_wire;
use crate::convert::required;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::error::StartError;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::seal::Part;
use crate::seal::Sealing;
use crate::snapshot::read::SnapshotReader;
use crate::snapshot::write::SnapshotWriter;
use crate::types::LogId;
use crate::types::SnapshotMeta;
use parking_lot::Mutex;
use prost::Message;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use weft_proto::wire;

pub(crate) const MAGIC: [u8; 8] = *b"WEFTSNP2";
const END: [u8; 8] = *b"WEFTSEND";
pub(crate) const TAIL: u64 = 12;
/// Of a piece, before its bytes.
pub(crate) const PIECE_HEAD: usize = 8;

pub(crate) const CURRENT: &str = "current";
pub(crate) const UNFINISHED: &str = ".tmp";

/// A whole, synced snapshot file. Stays readable while newer ones take its place.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) meta: SnapshotMeta,
    /// Of the content, in bytes.
    pub(crate) size: u64,
    /// CRC-32C of the content.
    pub(crate) checksum: u32,
    pub(crate) pieces: u64,
    pub(crate) sealing: Sealing,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Removes the file when the last clone is gone, unless it became the current one.
    pub(crate) unfinished: Option<Arc<Unfinished>>,
}

impl SnapshotFile {
    /// The content from its beginning; every piece is checked as it is read.
    pub(crate) fn reader(&self) -> SnapshotReader {
        SnapshotReader::new(self.clone())
    }
}

/// A file that is not, or not yet, the current snapshot.
pub(crate) struct Unfinished {
    disk: Arc<dyn Disk>,
    pub(crate) name: String,
    placed: Mutex<bool>,
}

impl fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unfinished").field(&self.name).finish()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !*self.placed.get_mut()
            && let Err(error) = self.disk.remove(&self.name)
        {
            tracing::warn!(name = %self.name, %error, "an unfinished snapshot stays until the next start");
        }
    }
}

/// Where snapshots are kept. Its methods block on the disk.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    disk: Arc<dyn Disk>,
    sealing: Sealing,
    /// Held over comparison and rename: a build that took long must not overwrite a newer
    /// snapshot installed meanwhile.
    current: Mutex<Option<SnapshotFile>>,
    unfinished: AtomicU64,
}

impl SnapshotStore {
    /// Opens the directory, removes what a crash left unfinished, and checks the current
    /// snapshot. `path` is for messages; `sealing` is this member's.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        sealing: Sealing,
    ) -> Result<Self, StartError> {
        let path: PathBuf = path.join(CURRENT);
        let current = match open_current(disk.as_ref(), &sealing) {
            Ok(current) => current,
            Err(Unreadable::Io(source)) => return Err(StartError::OpenSnapshot { path, source }),
            Err(Unreadable::Record(source)) => return Err(StartError::Snapshot { path, source }),
        };
        Ok(SnapshotStore {
            current: Mutex::new(current),
            ..SnapshotStore::empty(disk, sealing)
                .map_err(|source| StartError::OpenSnapshot { path, source })?
        })
    }

    /// A store that does not look at what is there, except to remove what a crash left
    /// unfinished. What is installed replaces it.
    pub(crate) fn empty(disk: Arc<dyn Disk>, sealing: Sealing) -> io::Result<Self> {
        remove_unfinished(disk.as_ref())?;
        Ok(SnapshotStore {
            disk,
            sealing,
            current: Mutex::new(None),
            unfinished: AtomicU64::new(0),
        })
    }

    /// The current snapshot.
    pub(crate) fn current(&self) -> Option<SnapshotFile> {
        self.current.lock().clone()
    }

    /// Begins a new file, which is nobody's snapshot until it is [`SnapshotStore::install`]ed.
    pub(crate) fn begin(&self, meta: SnapshotMeta) -> io::Result<SnapshotWriter> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number}{UNFINISHED}");
        let file = self.disk.create(&name)?;
        let unfinished = Unfinished {
            disk: Arc::clone(&self.disk),
            name,
            placed: Mutex::new(false),
        };
        SnapshotWriter::new(meta, self.sealing.clone(), file, unfinished)
    }

    /// Makes a finished file the current snapshot, durably, unless the current one is as new or
    /// newer. Returns whether it did. A file of another store is copied.
    pub(crate) fn install(&self, snapshot: &SnapshotFile) -> io::Result<bool> {
        let Some(unfinished) = &snapshot.unfinished else {
            if is_superseded(self.current.lock().as_ref(), &snapshot.meta) {
                return Ok(false);
            }
            let mut copy = self.begin(snapshot.meta.clone())?;
            io::copy(&mut snapshot.reader(), &mut copy)?;
            return self.install(&copy.finish()?);
        };
        let mut current = self.current.lock();
        if is_superseded(current.as_ref(), &snapshot.meta) {
            return Ok(false);
        }
        let mut placed = unfinished.placed.lock();
        if *placed {
            return Ok(false);
        }
        self.disk.rename(&unfinished.name, CURRENT)?;
        *placed = true;
        self.disk.sync_names()?;
        *current = Some(SnapshotFile {
            unfinished: None,
            ..snapshot.clone()
        });
        Ok(true)
    }
}

fn is_superseded(current: Option<&SnapshotFile>, meta: &SnapshotMeta) -> bool {
    current.is_some_and(|current| current.meta.last_log_id >= meta.last_log_id)
}

/// Why a file is not the snapshot it should be.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Io(io::Error),
    Record(RecordError),
}

impl From<RecordError> for Unreadable {
    fn from(error: RecordError) -> Self {
        Unreadable::Record(error)
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Unreadable::Io(error)
    }
}

impl From<Unreadable> for io::Error {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Io(source) => source,
            Unreadable::Record(source) => io::Error::new(io::ErrorKind::InvalidData, source),
        }
    }
}

fn open_current(disk: &dyn Disk, sealing: &Sealing) -> Result<Option<SnapshotFile>, Unreadable> {
    if !disk.names()?.iter().any(|name| name == CURRENT) {
        return Ok(None);
    }
    // A killed process leaves a rename that is not durable yet, and the log may rely on it.
    disk.sync_names()?;
    let snapshot = open(disk.open(CURRENT)?, sealing)?;
    let mut reader = snapshot.reader();
    while reader.next_piece()?.is_some() {}
    Ok(Some(snapshot))
}

fn remove_unfinished(disk: &dyn Disk) -> io::Result<()> {
    for name in disk.names()? {
        if name.ends_with(UNFINISHED) {
            disk.remove(&name)?;
        }
    }
    Ok(())
}

/// Reads the end of a snapshot file.
pub(crate) fn open(file: Box<dyn DiskFile>, sealing: &Sealing) -> Result<SnapshotFile, Unreadable> {
    let file_size = file.size()?;
    let short = || RecordError::Short {
        len: usize::try_from(file_size).unwrap_or(usize::MAX),
    };
    let at = file_size.checked_sub(TAIL).ok_or_else(short)?;
    let mut tail = [0; 12];
    file.read_at(at, &mut tail)?;
    let (len, end) = tail.split_at(4);
    if end != END {
        return Err(Unreadable::Record(RecordError::Kind {
            expected: char::from(END[0]),
            found: char::from(end[0]),
        }));
    }
    let mut word = [0; 4];
    word.copy_from_slice(len);
    let len = u32::from_le_bytes(word);
    let at = at.checked_sub(u64::from(len)).ok_or_else(short)?;
    let mut record = vec![0; usize::try_from(len).map_err(|_| short())?];
    file.read_at(at, &mut record)?;
    let (sealed, body) = records::unwrap(Kind::SnapshotEnd, 0, &record)?;
    let body = sealing.open(Part::SnapshotEnd, sealed, body)?;
    let end: wire::RaftSnapshotEnd = records::decode(&body)?;
    let meta = required("end.meta", end.meta)
        .and_then(meta_from_wire)
        .map_err(RecordError::Field)?;
    let mut magic = [0; 8];
    file.read_at(0, &mut magic)?;
    if magic != MAGIC {
        return Err(Unreadable::Record(RecordError::Checksum));
    }
    Ok(SnapshotFile {
        meta,
        size: end.size,
        checksum: end.checksum,
        pieces: end.pieces,
        sealing: sealing.clone(),
        file: Arc::from(file),
        unfinished: None,
    })
}

/// What follows the pieces.
pub(crate) fn encode_end(
    meta: &SnapshotMeta,
    size: u64,
    checksum: u32,
    pieces: u64,
    sealing: &Sealing,
) -> io::Result<Vec<u8>> {
    let end = wire::RaftSnapshotEnd {
        meta: Some(meta_to_wire(meta)),
        size,
        checksum,
        pieces,
    };
    let body = end.encode_to_vec();
    let body = sealing.seal(Part::SnapshotEnd, &body)?;
    let mut bytes = records::wrap(Kind::SnapshotEnd, 0, sealing.is_on(), &body);
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    bytes.extend(len.to_le_bytes());
    bytes.extend(END);
    Ok(bytes)
}

/// Where a piece belongs.
pub(crate) fn part(meta: &SnapshotMeta, piece: u64) -> Part {
    let last: Option<LogId> = meta.last_log_id;
    Part::Snapshot {
        term: last.map_or(0, |last| last.leader_id.term),
        index: last.map_or(0, |last| last.index),
        piece,
    }
}

/// CRC-32C of a piece in its place.
pub(crate) fn piece_checksum(piece: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&piece.to_le_bytes()), bytes)
}
