//! The files of the log: their names, and how each begins.
//!
//! ```text
//! 00000007.log    a segment; 00000007.tmp while it is being made
//! bytes 0..8      "WEFTLOG1"
//! bytes 8..12     length of the head's record, u32 LE
//! record          kind, version, checksum, RaftSegmentHead (whose log, which file of it)
//! frames          from the next multiple of eight bytes on; the first holds the single values
//!                 as they were, so that older segments are only needed for their entries
//! ```

use crate::convert::required;
use crate::frame::Home;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use prost::Message;
use weft_proto::wire;

const MAGIC: [u8; 8] = *b"WEFTLOG1";
const PREFIX: usize = 12;

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) owner: wire::RaftIdentity,
    pub(crate) home: Home,
    /// Of its first frame.
    pub(crate) first_sequence: u64,
    /// Where the segment before it ends.
    pub(crate) previous_end: u64,
}

/// The name of a finished segment.
pub(crate) fn name(number: u64) -> String {
    format!("{number:08}.log")
}

/// The name of one that is being made.
pub(crate) fn unfinished(number: u64) -> String {
    format!("{number:08}.tmp")
}

/// What a file of the directory is to the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Unfinished,
    /// Not ours, and left alone.
    Other,
}

/// The inverse of [`name`].
pub(crate) fn parse_name(text: &str) -> Name {
    let Some((stem, extension)) = text.rsplit_once('.') else {
        return Name::Other;
    };
    match (stem.parse(), extension) {
        (Ok(number), "log") if name(number) == text => Name::Segment(number),
        (Ok(_), "tmp") => Name::Unfinished,
        _ => Name::Other,
    }
}

/// The beginning of a segment, up to its first frame.
pub(crate) fn encode(head: &Head) -> Vec<u8> {
    let body = wire::RaftSegmentHead {
        owner: Some(head.owner.clone()),
        log: head.home.log.to_vec(),
        number: head.home.segment,
        first_sequence: head.first_sequence,
        previous_end: head.previous_end,
    };
    let record = records::wrap(
        Kind::Segment,
        head.home.segment,
        false,
        &body.encode_to_vec(),
    );
    let mut bytes = MAGIC.to_vec();
    // A cluster's name, a few numbers: far from 4 GiB.
    bytes.extend(u32::try_from(record.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(record);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The inverse of [`encode`]: the head of segment `number`, and where its first frame begins.
pub(crate) fn decode(number: u64, bytes: &[u8]) -> Result<(Head, usize), RecordError> {
    let short = RecordError::Short { len: bytes.len() };
    let (prefix, rest) = bytes
        .split_first_chunk::<PREFIX>()
        .ok_or_else(|| short.clone())?;
    let (magic, len) = prefix.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(RecordError::Kind {
            expected: char::from(MAGIC[0]),
            found: char::from(magic[0]),
        });
    }
    let mut word = [0; 4];
    word.copy_from_slice(len);
    let len = usize::try_from(u32::from_le_bytes(word)).map_err(|_| short.clone())?;
    let record = rest.get(..len).ok_or(short)?;
    let (_, body) = records::unwrap(Kind::Segment, number, record)?;
    let head: wire::RaftSegmentHead = records::decode(body)?;
    let owner = required("head.owner", head.owner).map_err(RecordError::Field)?;
    let log = <[u8; 16]>::try_from(head.log.as_slice());
    let log = log.map_err(|_| RecordError::Short {
        len: head.log.len(),
    })?;
    if head.number != number {
        return Err(RecordError::Checksum);
    }
    let head = Head {
        owner,
        home: Home {
            log,
            segment: number,
        },
        first_sequence: head.first_sequence,
        previous_end: head.previous_end,
    };
    Ok((head, (PREFIX + len).next_multiple_of(8)))
}
