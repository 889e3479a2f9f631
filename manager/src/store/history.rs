//! The last changes, for those who follow.

use crate::store::apply::Step;
use std::collections::VecDeque;
use std::sync::Arc;
use weft_proto::object::ObjectKey;
use weft_proto::time::Timestamp;

/// How many transactions are kept. Minutes of ordinary life, and a second of the greatest load:
/// who is away for longer takes a whole state, which is less than so many changes.
const TRANSACTIONS: usize = 4096;
/// How many versions of objects they may hold in total, so that large transactions do not fill the
/// memory: at most some tens of MB.
const VERSIONS: usize = 32_768;

/// The objects that one revision changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// The revision.
    pub revision: u64,
    /// The objects, in the order they were changed.
    pub changed: Vec<ObjectKey>,
}

/// What one revision changed, with the objects as they were at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The revision.
    pub revision: u64,
    /// Nothing changed after this revision and before [`Delta::revision`].
    pub previous: u64,
    /// When its proposer decided it.
    pub at: Timestamp,
    /// In order.
    pub steps: Vec<Step>,
}

/// The changes asked for are no longer kept: take a view and go on from its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the changes since revision {0} are no longer kept")]
pub struct Lagged(pub u64);

#[derive(Debug)]
struct Kept {
    set: Arc<ChangeSet>,
    delta: Arc<Delta>,
}

/// The changes since some revision, complete, newest last.
#[derive(Debug, Default)]
pub(super) struct History {
    complete_since: u64,
    last: u64,
    versions: usize,
    kept: VecDeque<Kept>,
}

impl History {
    /// Nothing yet, at `revision`.
    pub(super) fn begin(revision: u64) -> Self {
        History {
            complete_since: revision,
            last: revision,
            ..History::default()
        }
    }

    /// Adds a transaction that changed something.
    pub(super) fn push(&mut self, revision: u64, at: Timestamp, steps: Vec<Step>) {
        self.versions += steps.len();
        let changed = steps.iter().map(Step::key).collect();
        self.kept.push_back(Kept {
            set: Arc::new(ChangeSet { revision, changed }),
            delta: Arc::new(Delta {
                revision,
                previous: std::mem::replace(&mut self.last, revision),
                at,
                steps,
            }),
        });
        while self.kept.len() > TRANSACTIONS || self.versions > VERSIONS {
            let Some(oldest) = self.kept.pop_front() else {
                return;
            };
            self.complete_since = oldest.set.revision;
            self.versions -= oldest.delta.steps.len();
        }
    }

    fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Kept>, Lagged> {
        if revision < self.complete_since {
            return Err(Lagged(revision));
        }
        let first = self
            .kept
            .partition_point(|kept| kept.set.revision <= revision);
        Ok(self.kept.range(first..))
    }

    /// Every change after a revision.
    pub(super) fn sets(&self, revision: u64) -> Result<Vec<Arc<ChangeSet>>, Lagged> {
        Ok(self.since(revision)?.map(|kept| kept.set.clone()).collect())
    }

    /// The next `limit` changes after a revision.
    pub(super) fn deltas(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Delta>>, Lagged> {
        let next = self.since(revision)?.take(limit);
        Ok(next.map(|kept| kept.delta.clone()).collect())
    }
}
