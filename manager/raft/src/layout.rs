//! Entries and single values as records, and as changes of the log.

use crate::convert::entry_from_wire;
use crate::convert::entry_to_wire;
use crate::convert::log_id_to_wire;
use crate::convert::vote_to_wire;
use crate::engine::Meta;
use crate::engine::Op;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::types::Entry;
use crate::types::LogId;
use crate::types::Vote;

pub(crate) fn put_entry(entry: &Entry) -> Op {
    let index = entry.log_id.index;
    Op::Entry {
        index,
        record: records::seal(Kind::Entry, index, &entry_to_wire(entry)),
    }
}

/// The entry of a record.
pub(crate) fn open_entry(index: u64, record: &[u8]) -> Result<Entry, RecordError> {
    let entry = records::open(Kind::Entry, index, record)?;
    entry_from_wire(entry).map_err(RecordError::Field)
}

pub(crate) fn put_vote(vote: &Vote) -> Op {
    Op::Meta {
        name: Meta::Vote,
        record: records::seal(Kind::Vote, 0, &vote_to_wire(vote)),
    }
}

/// Everything up to and with `log_id` is in a snapshot, or of no use.
pub(crate) fn purge(log_id: &LogId) -> [Op; 2] {
    let record = records::seal(Kind::Purged, 0, &log_id_to_wire(log_id));
    [
        Op::Meta {
            name: Meta::Purged,
            record,
        },
        Op::Purge { upto: log_id.index },
    ]
}

pub(crate) fn put_committed(log_id: Option<&LogId>) -> Op {
    let record = log_id.map(|log_id| records::seal(Kind::Committed, 0, &log_id_to_wire(log_id)));
    Op::Meta {
        name: Meta::Committed,
        record: record.unwrap_or_default(),
    }
}
