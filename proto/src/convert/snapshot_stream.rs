//! A snapshot a piece at a time: the whole of a large store is never in memory as bytes.
//!
//! A protobuf message is the sequence of its fields, and repeated fields may come in several
//! runs. So the encodings of parts of a snapshot, one after the other, are the encoding of the
//! whole, and a reader may stop after each field.

use crate::command::StoreSnapshot;
use crate::convert::ConvertError;
use std::io;
use std::io::Read;

/// No field is longer, in bytes: one object is far smaller, and a damaged length must not ask for
/// all of memory.
const MAX_FIELD: u64 = 64 << 20;

/// A snapshot that cannot be read through.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes do not come.
    #[error("failed to read the snapshot")]
    Read(#[source] io::Error),
    /// The bytes are damaged, or a field cannot be accepted.
    #[error("the snapshot is refused")]
    Piece(#[source] ConvertError),
}

impl StoreSnapshot {
    /// Reads the encoding of a snapshot field by field, and hands each on as a snapshot that
    /// holds nothing else.
    ///
    /// # Errors
    /// The bytes end early or are damaged, or a field cannot be accepted. Some pieces have been
    /// handed on by then.
    pub fn read_pieces(
        input: &mut dyn Read,
        mut each: impl FnMut(StoreSnapshot),
    ) -> Result<(), SnapshotError> {
        let mut field = Vec::new();
        while next_field(input, &mut field).map_err(SnapshotError::Read)? {
            each(StoreSnapshot::decode(&field).map_err(SnapshotError::Piece)?);
        }
        Ok(())
    }
}

/// Reads one whole field, tag and all, into `field`; `false` at the end.
fn next_field(input: &mut dyn Read, field: &mut Vec<u8>) -> io::Result<bool> {
    field.clear();
    let Some(tag) = varint(input, field)? else {
        return Ok(false);
    };
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let len = match tag & 7 {
        0 => {
            varint(input, field)?.ok_or_else(cut)?;
            0
        }
        1 => 8,
        2 => varint(input, field)?.ok_or_else(cut)?,
        5 => 4,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no such field")),
    };
    if len > MAX_FIELD {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a field is too long",
        ));
    }
    let read = input.take(len).read_to_end(field)?;
    if u64::try_from(read).ok() != Some(len) {
        return Err(cut());
    }
    Ok(true)
}

/// Reads a number, and copies its bytes; `None` if the input has ended before it.
fn varint(input: &mut dyn Read, copy: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        match input.read_exact(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && shift == 0 => {
                return Ok(None);
            }
            other => other?,
        }
        let [byte] = byte;
        copy.push(byte);
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(number));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "a number is too long",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::AppliedCommand;
    use crate::id::CommandId;
    use crate::time::Timestamp;

    fn snapshot() -> StoreSnapshot {
        let recent = |n: u64| AppliedCommand {
            id: CommandId::from_entropy(n.into()),
            result: Ok(n),
            at: Timestamp::from_millis(1),
        };
        StoreSnapshot {
            revision: 300,
            objects: Vec::new(),
            recent: (1..5).map(recent).collect(),
            removed: Vec::new(),
            audit: Vec::new(),
        }
    }

    fn pieces(mut bytes: &[u8]) -> Result<Vec<StoreSnapshot>, SnapshotError> {
        let mut pieces = Vec::new();
        StoreSnapshot::read_pieces(&mut bytes, |piece| pieces.push(piece))?;
        Ok(pieces)
    }

    #[test]
    fn the_pieces_of_a_snapshot_are_the_snapshot() {
        let whole = snapshot();
        let mut sum = StoreSnapshot::default();
        for piece in pieces(&whole.encode()).unwrap() {
            sum.revision = sum.revision.max(piece.revision);
            sum.objects.extend(piece.objects);
            sum.recent.extend(piece.recent);
        }
        assert_eq!(sum, whole);
    }

    #[test]
    fn pieces_written_one_after_the_other_decode_as_the_whole() {
        let whole = snapshot();
        let revision = StoreSnapshot {
            revision: 300,
            ..StoreSnapshot::default()
        };
        let mut bytes = revision.encode();
        for recent in &whole.recent {
            let piece = StoreSnapshot {
                recent: vec![recent.clone()],
                ..StoreSnapshot::default()
            };
            bytes.extend(piece.encode());
        }
        assert_eq!(StoreSnapshot::decode(&bytes).unwrap(), whole);
    }

    #[test]
    fn a_snapshot_cut_within_a_field_is_refused() {
        let bytes = snapshot().encode();
        let whole = pieces(&bytes).unwrap().len();
        for len in 0..bytes.len() {
            let between = pieces(&bytes[..len]).is_ok_and(|pieces| pieces.len() < whole);
            assert!(between || pieces(&bytes[..len]).is_err(), "{len}");
        }
        assert!(pieces(b"\xff\xff").is_err());
    }
}
