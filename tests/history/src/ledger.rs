//! The history of the state that watchers are held against.

use crate::watch::Change;
use crate::watch::Seen;
use crate::watch::Stream;
use crate::watch::StreamProblem;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Every revision that changed something, with its changes in order. The state is empty before the
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    changes: BTreeMap<u64, Vec<Change>>,
}

impl Ledger {
    /// Nothing happened yet.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// Enters the changes of a revision; entering the same ones again changes nothing, and a
    /// revision without changes is not entered.
    ///
    /// # Errors
    /// The changes that were entered before, when they are other ones.
    pub fn enter(&mut self, revision: u64, changes: Vec<Change>) -> Result<(), Vec<Change>> {
        if changes.is_empty() {
            return Ok(());
        }
        match self.changes.get(&revision) {
            Some(known) if *known != changes => Err(known.clone()),
            Some(_) => Ok(()),
            None => {
                self.changes.insert(revision, changes);
                Ok(())
            }
        }
    }

    /// The history that several watchers tell together. It shows what one of them was not told and
    /// another one was, and where they were told different things.
    ///
    /// # Errors
    /// Two watchers were told different changes of one revision.
    pub fn of_streams<'a>(
        streams: impl IntoIterator<Item = &'a Stream>,
    ) -> Result<Ledger, StreamProblem> {
        let mut ledger = Ledger::new();
        for stream in streams {
            for seen in &stream.seen {
                if let Seen::Changes { revision, changes } = seen {
                    let entered = ledger.enter(*revision, changes.clone());
                    entered.map_err(|truth| StreamProblem::Differs {
                        watcher: stream.watcher,
                        revision: *revision,
                        told: changes.clone(),
                        truth,
                    })?;
                }
            }
        }
        Ok(ledger)
    }

    /// The changes of a revision.
    pub fn at(&self, revision: u64) -> Option<&[Change]> {
        self.changes.get(&revision).map(Vec::as_slice)
    }

    /// The last revision that changed something.
    pub fn last(&self) -> Option<u64> {
        self.changes.keys().next_back().copied()
    }

    /// The state at a revision.
    pub fn state(&self, revision: u64) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        for change in self.changes.range(..=revision).flat_map(|(_, all)| all) {
            match &change.value {
                Some(value) => state.insert(change.key.clone(), value.clone()),
                None => state.remove(&change.key),
            };
        }
        state
    }

    /// The first revision between two, both excluded.
    pub(crate) fn first_between(&self, after: u64, before: u64) -> Option<u64> {
        if before <= after {
            return None;
        }
        let between = (Bound::Excluded(after), Bound::Excluded(before));
        self.changes
            .range(between)
            .next()
            .map(|(revision, _)| *revision)
    }
}
