//! Keys of the log's pairs, and records cut into values that an engine may be given.
//!
//! ```text
//! "m" name                            vote, purged, committed, identity
//! "e" index (u64 BE) part (u16 BE)    one part of an entry's record; parts count from 0
//! ```

use crate::convert::entry_from_wire;
use crate::convert::entry_to_wire;
use crate::convert::log_id_to_wire;
use crate::convert::vote_to_wire;
use crate::engine::Op;
use crate::engine::VALUE_BYTES;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::seal::Place;
use crate::seal::Sealing;
use crate::types::Entry;
use crate::types::LogId;
use crate::types::Vote;
use prost::Message;
use std::io;
use weft_proto::wire;

pub(crate) const IDENTITY: &[u8] = b"midentity";
pub(crate) const VOTE: &[u8] = b"mvote";
pub(crate) const PURGED: &[u8] = b"mpurged";
pub(crate) const COMMITTED: &[u8] = b"mcommitted";

const ENTRY: u8 = b'e';

/// What a key names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    Meta(&'a [u8]),
    Part { index: u64, part: u16 },
    Foreign,
}

/// The inverse of the key constructors.
pub(crate) fn name(key: &[u8]) -> Name<'_> {
    if let Some((&ENTRY, place)) = key.split_first()
        && let Some((index, part)) = place.split_first_chunk::<8>()
        && let Ok(part) = <[u8; 2]>::try_from(part)
    {
        return Name::Part {
            index: u64::from_be_bytes(*index),
            part: u16::from_be_bytes(part),
        };
    }
    match key.first() {
        Some(b'm') => Name::Meta(key),
        Some(_) | None => Name::Foreign,
    }
}

fn part_key(index: u64, part: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(11);
    key.push(ENTRY);
    key.extend(index.to_be_bytes());
    key.extend(part.to_be_bytes());
    key
}

/// Adds the writes of one entry to `ops`; returns in how many parts it is stored.
pub(crate) fn put_entry(ops: &mut Vec<Op>, entry: &Entry, sealing: &Sealing) -> io::Result<u16> {
    let index = entry.log_id.index;
    let body = entry_to_wire(entry).encode_to_vec();
    let body = sealing.seal(Place::Entry { index }, &body)?;
    let record = records::wrap(Kind::Entry, index, sealing.is_on(), &body);
    let mut parts = 0;
    // Commands are at most MAX_COMMAND bytes: far fewer parts than a u16 counts.
    for (part, value) in (0..u16::MAX).zip(record.chunks(VALUE_BYTES)) {
        ops.push(Op::Put {
            key: part_key(index, part),
            value: value.to_vec(),
        });
        parts = part + 1;
    }
    Ok(parts)
}

/// The entry of a record, its parts put together again.
pub(crate) fn open_entry(
    index: u64,
    record: &[u8],
    sealing: &Sealing,
) -> Result<Entry, RecordError> {
    let (sealed, body) = records::unwrap(Kind::Entry, index, record)?;
    let body = sealing.open(Place::Entry { index }, sealed, body)?;
    entry_from_wire(records::decode(&body)?).map_err(RecordError::Field)
}

/// Adds the removal of one entry.
pub(crate) fn remove_entry(ops: &mut Vec<Op>, index: u64, parts: u16) {
    ops.extend((0..parts).map(|part| Op::Remove {
        key: part_key(index, part),
    }));
}

pub(crate) fn put_vote(vote: &Vote) -> Op {
    put(VOTE, records::seal(Kind::Vote, 0, &vote_to_wire(vote)))
}

pub(crate) fn put_purged(log_id: &LogId) -> Op {
    put(
        PURGED,
        records::seal(Kind::Purged, 0, &log_id_to_wire(log_id)),
    )
}

pub(crate) fn put_committed(log_id: Option<&LogId>) -> Op {
    match log_id {
        Some(log_id) => put(
            COMMITTED,
            records::seal(Kind::Committed, 0, &log_id_to_wire(log_id)),
        ),
        None => Op::Remove {
            key: COMMITTED.to_vec(),
        },
    }
}

pub(crate) fn put_identity(identity: &wire::RaftIdentity) -> Op {
    put(IDENTITY, records::seal(Kind::Identity, 0, identity))
}

fn put(key: &[u8], value: Vec<u8>) -> Op {
    Op::Put {
        key: key.to_vec(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_entries_sort_by_index_then_part() {
        let keys = [
            part_key(1, 0),
            part_key(1, 1),
            part_key(2, 0),
            part_key(256, 0),
        ];
        assert!(keys.is_sorted());
        assert_eq!(
            name(&keys[1]),
            Name::Part { index: 1, part: 1 },
            "the name is read back"
        );
    }

    #[test]
    fn unknown_keys_are_foreign() {
        assert_eq!(name(b"x"), Name::Foreign);
        assert_eq!(name(b"e12"), Name::Foreign);
        assert_eq!(name(b""), Name::Foreign);
    }
}
