//! The envelope of everything on disk: kind, version, checksum, protobuf body.
//!
//! ```text
//! byte 0      what it is (a letter)
//! byte 1      version of the body's layout; the highest bit says that what the record carries is
//!             sealed: an entry's body, or the data that follows a snapshot's head
//! bytes 2..6  CRC-32C, little endian, of: byte 0, byte 1, position (u64, big endian), body
//! bytes 6..   body
//! ```
//! The position (a log index, else 0) is checked but not stored: a record that turns up in
//! another record's place does not pass.

use crate::convert::ConvertError;
use crate::seal::SealError;
use prost::Message;

const HEAD: usize = 6;

/// The only layout so far. A reader refuses any other instead of guessing.
const VERSION: u8 = 1;

const SEALED: u8 = 0x80;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Identity,
    Vote,
    Purged,
    Committed,
    Entry,
    Snapshot,
    /// The beginning of a segment of the log.
    Segment,
    /// The end of a snapshot.
    SnapshotEnd,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Kind::Identity => b'I',
            Kind::Vote => b'V',
            Kind::Purged => b'P',
            Kind::Committed => b'C',
            Kind::Entry => b'E',
            Kind::Snapshot => b'S',
            Kind::Segment => b'L',
            Kind::SnapshotEnd => b'Z',
        }
    }
}

/// Why bytes on disk are not the record they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than its own head.
    #[error("the record is cut off: {len} bytes")]
    Short {
        /// Bytes found.
        len: usize,
    },
    /// Another kind of record, or no record at all.
    #[error("another kind of record: expected {expected:?}, found {found:?}")]
    Kind {
        /// The letter that should be there.
        expected: char,
        /// The letter that is there.
        found: char,
    },
    /// Written by a newer release.
    #[error(
        "the record has layout {found} and this release knows {VERSION}: use the release that wrote it, or a newer one"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// The bytes are not those that were written.
    #[error("the checksum does not match: the record is damaged or in the wrong place")]
    Checksum,
    /// The content is encrypted, and this member was started without a key.
    #[error("the record is sealed, and no key was given")]
    NoKey,
    /// The content is not encrypted, and this member was started with a key: somebody else wrote
    /// it.
    #[error("the record is not sealed, though a key was given")]
    NotSealed,
    /// The content is encrypted with another key, or for another place.
    #[error("the record cannot be opened with the given key")]
    Unseal(#[source] SealError),
    /// The checksum is right, the body is not understood.
    #[error("the record's body is not understood")]
    Decode(#[source] prost::DecodeError),
    /// A field of the body is missing or out of range.
    #[error("the record's body is incomplete")]
    Field(#[source] ConvertError),
}

impl RecordError {
    /// Whether no other release and no other key could read the record.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            RecordError::Version { .. }
            | RecordError::NoKey
            | RecordError::NotSealed
            | RecordError::Unseal(_) => false,
            RecordError::Short { .. }
            | RecordError::Kind { .. }
            | RecordError::Checksum
            | RecordError::Decode(_)
            | RecordError::Field(_) => true,
        }
    }
}

/// Wraps `body` for the place `position`, as it is.
pub(crate) fn seal(kind: Kind, position: u64, body: &impl Message) -> Vec<u8> {
    wrap(kind, position, false, &body.encode_to_vec())
}

/// The inverse of [`seal`].
pub(crate) fn open<M: Message + Default>(
    kind: Kind,
    position: u64,
    record: &[u8],
) -> Result<M, RecordError> {
    let (sealed, body) = unwrap(kind, position, record)?;
    if sealed {
        return Err(RecordError::NoKey);
    }
    decode(body)
}

pub(crate) fn decode<M: Message + Default>(body: &[u8]) -> Result<M, RecordError> {
    M::decode(body).map_err(RecordError::Decode)
}

/// Wraps bytes; `sealed` is recorded, not done.
pub(crate) fn wrap(kind: Kind, position: u64, sealed: bool, body: &[u8]) -> Vec<u8> {
    let letter = kind.letter();
    let version = VERSION | if sealed { SEALED } else { 0 };
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.extend([letter, version]);
    record.extend(checksum(letter, version, position, body).to_le_bytes());
    record.extend(body);
    record
}

/// The inverse of [`wrap`]: whether what the record carries is sealed, and the bytes.
pub(crate) fn unwrap(
    kind: Kind,
    position: u64,
    record: &[u8],
) -> Result<(bool, &[u8]), RecordError> {
    let short = RecordError::Short { len: record.len() };
    let Some(([letter, version, a, b, c, d], body)) = record.split_first_chunk::<HEAD>() else {
        return Err(short);
    };
    if *letter != kind.letter() {
        return Err(RecordError::Kind {
            expected: char::from(kind.letter()),
            found: char::from(*letter),
        });
    }
    let layout = version & !SEALED;
    if layout != VERSION {
        return Err(RecordError::Version { found: layout });
    }
    if checksum(*letter, *version, position, body) != u32::from_le_bytes([*a, *b, *c, *d]) {
        return Err(RecordError::Checksum);
    }
    Ok((version & SEALED != 0, body))
}

fn checksum(letter: u8, version: u8, position: u64, body: &[u8]) -> u32 {
    let head = crc32c::crc32c(&[letter, version]);
    let head = crc32c::crc32c_append(head, &position.to_be_bytes());
    crc32c::crc32c_append(head, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::wire;

    fn vote() -> wire::RaftVote {
        wire::RaftVote {
            term: 7,
            node: 3,
            committed: true,
        }
    }

    #[test]
    fn a_sealed_record_opens_only_in_its_own_place_and_kind() {
        let sealed = seal(Kind::Vote, 5, &vote());
        assert_eq!(open(Kind::Vote, 5, &sealed), Ok(vote()));
        assert_eq!(
            open::<wire::RaftVote>(Kind::Vote, 6, &sealed),
            Err(RecordError::Checksum)
        );
        assert!(matches!(
            open::<wire::RaftVote>(Kind::Purged, 5, &sealed),
            Err(RecordError::Kind { .. })
        ));
    }

    #[test]
    fn every_single_flipped_bit_is_noticed() {
        let sealed = seal(Kind::Vote, 0, &vote());
        for at in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(
                open::<wire::RaftVote>(Kind::Vote, 0, &damaged).is_err(),
                "bit {at} flipped unnoticed"
            );
        }
    }

    #[test]
    fn a_newer_layout_is_refused_by_name() {
        let mut sealed = seal(Kind::Vote, 0, &vote());
        sealed[1] = 2;
        assert_eq!(
            open::<wire::RaftVote>(Kind::Vote, 0, &sealed),
            Err(RecordError::Version { found: 2 })
        );
    }

    #[test]
    fn any_cut_off_record_is_refused() {
        let sealed = seal(Kind::Vote, 0, &vote());
        for len in 0..sealed.len() {
            assert!(open::<wire::RaftVote>(Kind::Vote, 0, &sealed[..len]).is_err());
        }
    }
}
