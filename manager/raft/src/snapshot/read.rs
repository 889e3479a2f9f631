//! Reading a snapshot file, a piece at a time.

use crate::records::RecordError;
use crate::snapshot::MAGIC;
use crate::snapshot::PIECE_HEAD;
use crate::snapshot::SnapshotFile;
use crate::snapshot::Unreadable;
use crate::snapshot::part;
use crate::snapshot::piece_checksum;
use bytes::Buf;
use bytes::Bytes;
use std::io;
use std::io::Read;

/// No piece is longer, sealed or not: a damaged length must not ask for all of memory.
const MAX_PIECE: u32 = 1 << 20;

/// The content of a snapshot, from its beginning.
#[derive(Debug)]
pub(crate) struct SnapshotReader {
    snapshot: SnapshotFile,
    piece: u64,
    at: u64,
    size: u64,
    checksum: u32,
    /// What was read and not yet taken.
    rest: Bytes,
}

impl SnapshotReader {
    pub(crate) fn new(snapshot: SnapshotFile) -> Self {
        SnapshotReader {
            snapshot,
            piece: 0,
            at: MAGIC.len() as u64,
            size: 0,
            checksum: 0,
            rest: Bytes::new(),
        }
    }

    /// The next piece of the content; `None` after the last, when all of it has been checked.
    pub(crate) fn next_piece(&mut self) -> Result<Option<Bytes>, Unreadable> {
        if self.piece == self.snapshot.pieces {
            let whole = self.size == self.snapshot.size && self.checksum == self.snapshot.checksum;
            return if whole {
                Ok(None)
            } else {
                Err(Unreadable::Record(RecordError::Checksum))
            };
        }
        let mut head = [0; PIECE_HEAD];
        self.read(&mut head)?;
        let [a, b, c, d, e, f, g, h] = head;
        let len = u32::from_le_bytes([a, b, c, d]);
        if len > MAX_PIECE {
            return Err(Unreadable::Record(RecordError::Checksum));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.read(&mut bytes)?;
        if piece_checksum(self.piece, &bytes) != u32::from_le_bytes([e, f, g, h]) {
            return Err(Unreadable::Record(RecordError::Checksum));
        }
        let sealing = &self.snapshot.sealing;
        let place = part(&self.snapshot.meta, self.piece);
        let plain = sealing.open(place, sealing.is_on(), &bytes)?.into_owned();
        self.piece += 1;
        self.size += u64::try_from(plain.len()).map_err(io::Error::other)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &plain);
        Ok(Some(Bytes::from(plain)))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let result = self.snapshot.file.read_at(self.at, buffer);
        self.at += u64::try_from(buffer.len()).map_err(io::Error::other)?;
        result.map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                Unreadable::Record(RecordError::Checksum)
            } else {
                Unreadable::Io(error)
            }
        })
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.next_piece()? {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}
