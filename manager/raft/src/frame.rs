//! Groups of changes as they lie in a segment file, one behind the other, eight bytes aligned.
//!
//! ```text
//! bytes 0..4    "WFRM"
//! bytes 4..8    length of the body, u32 LE
//! bytes 8..16   sequence number, u64 LE; the groups of a log count from 0 without gaps
//! bytes 16..20  flags, u32 LE
//! bytes 20..24  CRC-32C, u32 LE, of: log, segment number, bytes 4..20, padded body
//! bytes 24..    body, padded with zeros to a multiple of eight bytes
//! ```
//! A *mark* is a frame without a body that says: everything up to this sequence number has been
//! synced. It lies where the next frame will be written.

use crate::engine::Meta;
use crate::engine::Op;

pub(crate) const HEAD: usize = 24;
const MAGIC: [u8; 4] = *b"WFRM";
const ALIGN: usize = 8;

const SEALED: u32 = 1;
const MARK: u32 = 2;
const CLOSED: u32 = 4;

/// Which file of which log a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) log: [u8; 16],
    pub(crate) segment: u64,
}

/// What lies at some place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A group.
    Frame {
        sequence: u64,
        sealed: bool,
        body: &'a [u8],
        /// Where the next one begins.
        next: usize,
    },
    /// A mark; `closed` says that the log goes on in the next segment.
    Mark { sequence: u64, closed: bool },
    /// Nothing that was written whole.
    Nothing,
}

/// A frame, ready to be written.
pub(crate) fn frame(home: Home, sequence: u64, sealed: bool, body: &[u8]) -> Option<Vec<u8>> {
    let flags = if sealed { SEALED } else { 0 };
    build(home, sequence, flags, body)
}

/// The mark that everything up to `sequence` has been synced.
pub(crate) fn mark(home: Home, sequence: u64, closed: bool) -> Vec<u8> {
    let flags = if closed { MARK | CLOSED } else { MARK };
    // Without a body there is no length that could be too large.
    build(home, sequence, flags, &[]).unwrap_or_default()
}

fn build(home: Home, sequence: u64, flags: u32, body: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(body.len()).ok()?;
    let mut bytes = Vec::with_capacity(HEAD + body.len() + ALIGN);
    bytes.extend(MAGIC);
    bytes.extend(len.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    let checksum = checksum(home, &bytes[4..20], &bytes[HEAD..]);
    bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// Looks at `at`.
pub(crate) fn find(home: Home, segment: &[u8], at: usize) -> Found<'_> {
    let Some((head, rest)) = segment.get(at..).and_then(|s| s.split_at_checked(HEAD)) else {
        return Found::Nothing;
    };
    let word = |from: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&head[from..from + 4]);
        u32::from_le_bytes(bytes)
    };
    if head[..4] != MAGIC {
        return Found::Nothing;
    }
    let Ok(len) = usize::try_from(word(4)) else {
        return Found::Nothing;
    };
    let padded = len.next_multiple_of(ALIGN);
    let Some(body) = rest.get(..padded) else {
        return Found::Nothing;
    };
    if checksum(home, &head[4..20], body) != word(20) {
        return Found::Nothing;
    }
    let sequence = u64::from(word(8)) | u64::from(word(12)) << 32;
    match word(16) {
        flags @ (0 | SEALED) => Found::Frame {
            sequence,
            sealed: flags == SEALED,
            body: &body[..len],
            next: at + HEAD + padded,
        },
        MARK => Found::Mark {
            sequence,
            closed: false,
        },
        flags if flags == MARK | CLOSED => Found::Mark {
            sequence,
            closed: true,
        },
        _ => Found::Nothing,
    }
}

/// Whether anything from `from` on shows that what lay before it had been synced: a group or a
/// mark with a sequence number of at least `sequence`.
pub(crate) fn shows_later(home: Home, segment: &[u8], from: usize, sequence: u64) -> bool {
    (from..segment.len())
        .step_by(ALIGN)
        .any(|at| match find(home, segment, at) {
            Found::Frame { sequence: s, .. } | Found::Mark { sequence: s, .. } => s >= sequence,
            Found::Nothing => false,
        })
}

fn checksum(home: Home, head: &[u8], body: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&home.log);
    let sum = crc32c::crc32c_append(sum, &home.segment.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, head);
    crc32c::crc32c_append(sum, body)
}

/// The changes of one group as a body.
pub(crate) fn encode(ops: &[Op]) -> Option<Vec<u8>> {
    let bytes = ops.iter().map(|op| match op {
        Op::Entry { record, .. } | Op::Meta { record, .. } => 16 + record.len(),
        Op::Truncate { .. } | Op::Purge { .. } => 16,
    });
    let mut body = Vec::with_capacity(bytes.sum());
    for op in ops {
        match op {
            Op::Entry { index, record } => {
                body.push(b'E');
                body.extend(index.to_le_bytes());
                body.extend(u32::try_from(record.len()).ok()?.to_le_bytes());
                body.extend(record);
            }
            Op::Truncate { first } => {
                body.push(b'T');
                body.extend(first.to_le_bytes());
            }
            Op::Purge { upto } => {
                body.push(b'P');
                body.extend(upto.to_le_bytes());
            }
            Op::Meta { name, record } => {
                body.push(letter(*name));
                body.extend(u32::try_from(record.len()).ok()?.to_le_bytes());
                body.extend(record);
            }
        }
    }
    Some(body)
}

/// The inverse of [`encode`]; `None` if it is not one.
pub(crate) fn decode(mut body: &[u8]) -> Option<Vec<Op>> {
    let mut ops = Vec::new();
    while let Some((kind, rest)) = body.split_first() {
        body = rest;
        let op = match kind {
            b'E' => Op::Entry {
                index: number(&mut body)?,
                record: record(&mut body)?,
            },
            b'T' => Op::Truncate {
                first: number(&mut body)?,
            },
            b'P' => Op::Purge {
                upto: number(&mut body)?,
            },
            other => Op::Meta {
                name: Meta::ALL.into_iter().find(|meta| letter(*meta) == *other)?,
                record: record(&mut body)?,
            },
        };
        ops.push(op);
    }
    Some(ops)
}

fn number(body: &mut &[u8]) -> Option<u64> {
    let (number, rest) = body.split_first_chunk::<8>()?;
    *body = rest;
    Some(u64::from_le_bytes(*number))
}

fn record(body: &mut &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = body.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (record, rest) = rest.split_at_checked(len)?;
    *body = rest;
    Some(record.to_vec())
}

fn letter(meta: Meta) -> u8 {
    match meta {
        Meta::Identity => b'i',
        Meta::Vote => b'v',
        Meta::Purged => b'p',
        Meta::Committed => b'c',
    }
}
