//! What a watcher was sent, and whether it was the truth, all of it, once and in order.

use crate::ledger::Ledger;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// A watcher's number, unique in one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WatcherId(pub u32);

/// One object's change. What the value says is up to the recorder, as long as equal states of an
/// object are equal texts; a whole object is best, its version at least.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// Which object.
    pub key: String,
    /// What it became; `None`: it was removed.
    pub value: Option<String>,
}

/// One thing that happened to a watcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// It began, or began again after a break, asking for everything after this revision.
    Began {
        /// The revision it has; 0 at first.
        after: u64,
    },
    /// It was given the complete state instead of changes.
    Snapshot {
        /// The revision of the state.
        revision: u64,
        /// All objects.
        state: BTreeMap<String, String>,
    },
    /// It was told the changes of one revision, all of them.
    Changes {
        /// The revision.
        revision: u64,
        /// In the order told.
        changes: Vec<Change>,
    },
    /// It was told that it has everything up to here.
    Progress {
        /// The revision.
        revision: u64,
    },
}

/// Everything that happened to one watcher, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Who watched.
    pub watcher: WatcherId,
    /// What it saw.
    pub seen: Vec<Seen>,
}

/// Why a stream cannot be accepted. All revisions are those of the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamProblem {
    /// Something at or before what the watcher already had.
    #[error("watcher {watcher:?}: revision {revision} was told after revision {position}", watcher = watcher.0)]
    OutOfOrder {
        /// Who.
        watcher: WatcherId,
        /// What was told.
        revision: u64,
        /// What it already had.
        position: u64,
    },
    /// The same revision twice.
    #[error("watcher {watcher:?}: revision {revision} was told twice", watcher = watcher.0)]
    Duplicate {
        /// Who.
        watcher: WatcherId,
        /// Which revision.
        revision: u64,
    },
    /// A change that was left out.
    #[error("watcher {watcher:?}: revision {missing} was left out before {revision}", watcher = watcher.0)]
    Gap {
        /// Who.
        watcher: WatcherId,
        /// The first one missing.
        missing: u64,
        /// What was told instead.
        revision: u64,
    },
    /// It resumed later than what it had.
    #[error("watcher {watcher:?}: resumed after {after} although it had only {position}", watcher = watcher.0)]
    ResumedAhead {
        /// Who.
        watcher: WatcherId,
        /// Where it resumed.
        after: u64,
        /// What it had.
        position: u64,
    },
    /// A revision that is not in the history, or with other changes.
    #[error("watcher {watcher:?}: revision {revision} was told as {told:?}, in truth it is {truth:?}", watcher = watcher.0)]
    Differs {
        /// Who.
        watcher: WatcherId,
        /// Which revision.
        revision: u64,
        /// What it was told.
        told: Vec<Change>,
        /// The history.
        truth: Vec<Change>,
    },
    /// A snapshot that is not the state of its revision.
    #[error("watcher {watcher:?}: the snapshot of revision {revision} has {key} as {told:?}, in truth it is {truth:?}", watcher = watcher.0)]
    SnapshotDiffers {
        /// Who.
        watcher: WatcherId,
        /// Which revision.
        revision: u64,
        /// The first object that differs.
        key: String,
        /// What it was told.
        told: Option<String>,
        /// The history.
        truth: Option<String>,
    },
    /// Something was told before the watcher had begun.
    #[error("watcher {watcher:?}: was told of revision {revision} before it began", watcher = watcher.0)]
    NotBegun {
        /// Who.
        watcher: WatcherId,
        /// Which revision.
        revision: u64,
    },
}

/// Whether a watcher was told the history, from where it asked to where it is: in order, nothing
/// left out, nothing twice, nothing invented. Returns the revision it has in the end.
///
/// # Errors
/// The first thing it was told that it should not have been.
pub fn check_stream(stream: &Stream, truth: &Ledger) -> Result<u64, StreamProblem> {
    let mut reader = Reader {
        watcher: stream.watcher,
        truth,
        position: None,
        told: None,
    };
    for seen in &stream.seen {
        reader.take(seen)?;
    }
    Ok(reader.position.unwrap_or(0))
}

struct Reader<'a> {
    watcher: WatcherId,
    truth: &'a Ledger,
    /// What the watcher has; `None` before it began.
    position: Option<u64>,
    /// The last revision it was told changes of.
    told: Option<u64>,
}

impl Reader<'_> {
    fn take(&mut self, seen: &Seen) -> Result<(), StreamProblem> {
        match seen {
            Seen::Began { after } => self.begin(*after),
            Seen::Snapshot { revision, state } => {
                let position = self.begun(*revision)?;
                if *revision < position {
                    return Err(self.out_of_order(*revision, position));
                }
                self.compare(*revision, state)?;
                self.position = Some(*revision);
                Ok(())
            }
            Seen::Changes { revision, changes } => self.changes(*revision, changes),
            Seen::Progress { revision } => {
                let position = self.begun(*revision)?;
                if *revision < position {
                    return Err(self.out_of_order(*revision, position));
                }
                self.no_gap(position, *revision)?;
                let left_out = self.truth.at(*revision).is_some() && *revision > position;
                if left_out {
                    return Err(self.gap(*revision, *revision));
                }
                self.position = Some(*revision);
                Ok(())
            }
        }
    }

    fn begin(&mut self, after: u64) -> Result<(), StreamProblem> {
        let watcher = self.watcher;
        match self.position {
            Some(position) if after > position => Err(StreamProblem::ResumedAhead {
                watcher,
                after,
                position,
            }),
            // Resuming earlier is allowed: then it is told again what it asked for again.
            _ => {
                self.position = Some(after);
                self.told = None;
                Ok(())
            }
        }
    }

    fn changes(&mut self, revision: u64, changes: &[Change]) -> Result<(), StreamProblem> {
        let watcher = self.watcher;
        let position = self.begun(revision)?;
        if self.told == Some(revision) {
            return Err(StreamProblem::Duplicate { watcher, revision });
        }
        if revision <= position {
            return Err(self.out_of_order(revision, position));
        }
        self.no_gap(position, revision)?;
        let truth = self.truth.at(revision).unwrap_or_default();
        if truth != changes {
            return Err(StreamProblem::Differs {
                watcher,
                revision,
                told: changes.to_vec(),
                truth: truth.to_vec(),
            });
        }
        self.position = Some(revision);
        self.told = Some(revision);
        Ok(())
    }

    fn begun(&self, revision: u64) -> Result<u64, StreamProblem> {
        let watcher = self.watcher;
        self.position
            .ok_or(StreamProblem::NotBegun { watcher, revision })
    }

    /// Nothing lies between two revisions, both excluded.
    fn no_gap(&self, position: u64, revision: u64) -> Result<(), StreamProblem> {
        match self.truth.first_between(position, revision) {
            Some(missing) => Err(self.gap(missing, revision)),
            None => Ok(()),
        }
    }

    fn gap(&self, missing: u64, revision: u64) -> StreamProblem {
        StreamProblem::Gap {
            watcher: self.watcher,
            missing,
            revision,
        }
    }

    fn out_of_order(&self, revision: u64, position: u64) -> StreamProblem {
        StreamProblem::OutOfOrder {
            watcher: self.watcher,
            revision,
            position,
        }
    }

    fn compare(&self, revision: u64, told: &BTreeMap<String, String>) -> Result<(), StreamProblem> {
        let truth = self.truth.state(revision);
        let differs = |key: &&String| told.get(*key) != truth.get(*key);
        match told.keys().chain(truth.keys()).find(differs) {
            None => Ok(()),
            Some(key) => Err(StreamProblem::SnapshotDiffers {
                watcher: self.watcher,
                revision,
                key: key.clone(),
                told: told.get(key).cloned(),
                truth: truth.get(key).cloned(),
            }),
        }
    }
}
