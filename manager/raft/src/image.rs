//! The log as it is found on disk when a member starts.

use crate::convert::log_id_from_wire;
use crate::convert::vote_from_wire;
use crate::engine::Contents;
use crate::engine::Meta;
use crate::error::StartError;
use crate::layout;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::types::Entry;
use crate::types::LogId;
use crate::types::Vote;
use std::collections::BTreeMap;
use weft_proto::wire;

/// The whole log, checked record by record.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// Only the first release wrote it here.
    pub(crate) identity: Option<wire::RaftIdentity>,
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) entries: BTreeMap<u64, Entry>,
}

impl Image {
    /// Checks everything. Refuses a damaged log instead of skipping the damage: a member that
    /// votes with a hole in its log can lose what the cluster acknowledged.
    pub(crate) fn load(contents: &Contents) -> Result<Image, StartError> {
        let mut image = Image::default();
        for (name, record) in &contents.metas {
            image
                .meta(*name, record)
                .map_err(|source| damaged(name.name().to_owned(), source))?;
        }
        // Entries that a crash kept although they were purged are not looked at.
        let first = image.first();
        for (index, record) in contents.entries.range(first..) {
            let entry = layout::open_entry(*index, record)
                .map_err(|e| damaged(format!("entry {index}"), e))?;
            image.entries.insert(*index, entry);
        }
        image.settle()?;
        Ok(image)
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        let last = self.entries.last_key_value();
        last.map(|(_, entry)| entry.log_id).or(self.purged)
    }

    fn first(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    fn meta(&mut self, name: Meta, record: &[u8]) -> Result<(), RecordError> {
        match name {
            Meta::Identity => self.identity = Some(records::open(Kind::Identity, 0, record)?),
            Meta::Vote => {
                let vote = records::open(Kind::Vote, 0, record)?;
                self.vote = Some(vote_from_wire(vote));
            }
            Meta::Purged => {
                let log_id = records::open(Kind::Purged, 0, record)?;
                self.purged = Some(log_id_from_wire(log_id));
            }
            Meta::Committed => {
                let log_id = records::open(Kind::Committed, 0, record)?;
                self.committed = Some(log_id_from_wire(log_id));
            }
        }
        Ok(())
    }

    /// Checks that no entry is missing, and drops what a crash may rightly leave behind.
    fn settle(&mut self) -> Result<(), StartError> {
        for (expected, &found) in (self.first()..).zip(self.entries.keys()) {
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

fn damaged(record: String, source: RecordError) -> StartError {
    StartError::Record { record, source }
}
