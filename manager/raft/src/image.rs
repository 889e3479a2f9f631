//! The log as it is found on disk when a member starts.

use crate::convert::log_id_from_wire;
use crate::convert::vote_from_wire;
use crate::engine::Engine;
use crate::error::StartError;
use crate::layout;
use crate::layout::Name;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::seal::Sealing;
use crate::types::Entry;
use crate::types::LogId;
use crate::types::Vote;
use std::collections::BTreeMap;
use weft_proto::wire;

/// An entry, and in how many parts it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) parts: u16,
}

/// The whole log, checked record by record.
#[derive(Debug, Default)]
pub(crate) struct Image {
    pub(crate) identity: Option<wire::RaftIdentity>,
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) entries: BTreeMap<u64, Stored>,
}

impl Image {
    /// Reads and checks everything. Refuses a damaged log instead of skipping the damage: a
    /// member that votes with a hole in its log can lose what the cluster acknowledged.
    pub(crate) fn load(engine: &dyn Engine, sealing: &Sealing) -> Result<Image, StartError> {
        let mut image = Image::default();
        let mut pending: Option<Pending> = None;
        for pair in engine.scan() {
            let (key, value) = pair.map_err(|source| StartError::ReadLog { source })?;
            match layout::name(&key) {
                Name::Part { index, part } => {
                    if pending.as_ref().is_some_and(|p| p.index != index) {
                        image.insert(pending.take(), sealing)?;
                    }
                    let entry = pending.get_or_insert_with(|| Pending::new(index));
                    if entry.parts != part {
                        return Err(damaged(
                            format!("entry {index}"),
                            RecordError::Short {
                                len: entry.record.len(),
                            },
                        ));
                    }
                    entry.record.extend(value);
                    entry.parts += 1;
                }
                Name::Meta(name) => image.meta(name, &value)?,
                Name::Foreign => {
                    return Err(StartError::ForeignKey {
                        key: String::from_utf8_lossy(&key).into_owned(),
                    });
                }
            }
        }
        image.insert(pending, sealing)?;
        image.settle()?;
        Ok(image)
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        let last = self.entries.last_key_value();
        last.map(|(_, stored)| stored.entry.log_id).or(self.purged)
    }

    fn insert(&mut self, pending: Option<Pending>, sealing: &Sealing) -> Result<(), StartError> {
        let Some(Pending {
            index,
            parts,
            record,
        }) = pending
        else {
            return Ok(());
        };
        let entry = layout::open_entry(index, &record, sealing)
            .map_err(|e| damaged(format!("entry {index}"), e))?;
        self.entries.insert(index, Stored { entry, parts });
        Ok(())
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), StartError> {
        let name = || String::from_utf8_lossy(key).into_owned();
        let damaged = |e| damaged(name(), e);
        match key {
            layout::IDENTITY => {
                let identity = records::open(Kind::Identity, 0, value).map_err(damaged)?;
                self.identity = Some(identity);
            }
            layout::VOTE => {
                let vote = records::open(Kind::Vote, 0, value).map_err(damaged)?;
                self.vote = Some(vote_from_wire(vote));
            }
            layout::PURGED => {
                let log_id = records::open(Kind::Purged, 0, value).map_err(damaged)?;
                self.purged = Some(log_id_from_wire(log_id));
            }
            layout::COMMITTED => {
                let log_id = records::open(Kind::Committed, 0, value).map_err(damaged)?;
                self.committed = Some(log_id_from_wire(log_id));
            }
            _ => return Err(StartError::ForeignKey { key: name() }),
        }
        Ok(())
    }

    /// Checks that no entry is missing, and drops what a crash may rightly leave behind.
    fn settle(&mut self) -> Result<(), StartError> {
        let first = self.purged.map_or(0, |purged| purged.index + 1);
        self.entries = self.entries.split_off(&first);
        for (expected, &found) in (first..).zip(self.entries.keys()) {
            if expected != found {
                return Err(StartError::MissingEntry { index: expected });
            }
        }
        // The marker is written without a sync of its own, so it may be older than the log but
        // never ahead of it; if it is, what it promised is gone.
        if self.committed > self.last() {
            self.committed = self.last();
        }
        Ok(())
    }
}

struct Pending {
    index: u64,
    parts: u16,
    record: Vec<u8>,
}

impl Pending {
    fn new(index: u64) -> Self {
        Pending {
            index,
            parts: 0,
            record: Vec::new(),
        }
    }
}

fn damaged(record: String, source: RecordError) -> StartError {
    StartError::Record { record, source }
}
