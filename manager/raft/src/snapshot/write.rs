//! Writing a snapshot file, a piece at a time.

use crate::disk::DiskFile;
use crate::seal::Sealing;
use crate::snapshot::MAGIC;
use crate::snapshot::SnapshotFile;
use crate::snapshot::Unfinished;
use crate::snapshot::encode_end;
use crate::snapshot::part;
use crate::snapshot::piece_checksum;
use crate::types::SnapshotMeta;
use std::io;
use std::io::Write;
use std::sync::Arc;

/// The content of one piece: what is held in memory while a snapshot is written or read.
const PIECE_BYTES: usize = 256 * 1024;

/// A snapshot that is being written. Dropped before [`SnapshotWriter::finish`], it leaves
/// nothing.
#[derive(Debug)]
pub(crate) struct SnapshotWriter {
    meta: SnapshotMeta,
    sealing: Sealing,
    file: Box<dyn DiskFile>,
    unfinished: Unfinished,
    /// What is not in the file yet.
    piece: Vec<u8>,
    pieces: u64,
    /// Where the next piece goes.
    at: u64,
    size: u64,
    checksum: u32,
}

impl SnapshotWriter {
    pub(crate) fn new(
        meta: SnapshotMeta,
        sealing: Sealing,
        file: Box<dyn DiskFile>,
        unfinished: Unfinished,
    ) -> io::Result<Self> {
        let mut writer = SnapshotWriter {
            meta,
            sealing,
            file,
            unfinished,
            piece: Vec::with_capacity(PIECE_BYTES),
            pieces: 0,
            at: 0,
            size: 0,
            checksum: 0,
        };
        writer.put(&MAGIC)?;
        Ok(writer)
    }

    /// Bytes of content so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// CRC-32C of the content so far.
    pub(crate) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Completes the file and makes its content durable.
    pub(crate) fn finish(mut self) -> io::Result<SnapshotFile> {
        self.put_piece()?;
        let end = encode_end(
            &self.meta,
            self.size,
            self.checksum,
            self.pieces,
            &self.sealing,
        )?;
        self.put(&end)?;
        self.file.sync()?;
        Ok(SnapshotFile {
            meta: self.meta,
            size: self.size,
            checksum: self.checksum,
            pieces: self.pieces,
            sealing: self.sealing,
            file: Arc::from(self.file),
            unfinished: Some(Arc::new(self.unfinished)),
        })
    }

    fn put_piece(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let sealed = self
            .sealing
            .seal(part(&self.meta, self.pieces), &self.piece)?;
        let len = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(8 + sealed.len());
        bytes.extend(len.to_le_bytes());
        bytes.extend(piece_checksum(self.pieces, &sealed).to_le_bytes());
        bytes.extend(sealed.as_ref());
        self.put(&bytes)?;
        self.pieces += 1;
        self.piece.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(self.at, bytes)?;
        self.at += u64::try_from(bytes.len()).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Write for SnapshotWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        let (now, _) = bytes.split_at(taken);
        self.piece.extend_from_slice(now);
        self.checksum = crc32c::crc32c_append(self.checksum, now);
        self.size += u64::try_from(taken).map_err(io::Error::other)?;
        if self.piece.len() == PIECE_BYTES {
            self.put_piece()?;
        }
        Ok(taken)
    }

    /// Pieces are written when they are full; only [`SnapshotWriter::finish`] makes them durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
