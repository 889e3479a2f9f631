//! The live state: applies commands as they are committed and lets others follow.

use crate::store::View;
use crate::store::apply::apply;
use crate::store::state::State;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;
use weft_proto::command::Command;
use weft_proto::command::CommandResult;
use weft_proto::object::ObjectKey;

/// How many change sets are kept for watchers that resume. Who needs older ones takes a view.
const HISTORY: usize = 4096;

/// The objects that one revision changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// The revision.
    pub revision: u64,
    /// The objects, in the order they were changed.
    pub changed: Vec<ObjectKey>,
}

/// The changes asked for are no longer kept: take a view and go on from its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the changes since revision {0} are no longer kept")]
pub struct Lagged(pub u64);

#[derive(Debug)]
struct History {
    /// Changes since (not at) this revision are complete.
    complete_since: u64,
    sets: VecDeque<Arc<ChangeSet>>,
}

/// The live state. One writer (the log), any number of readers.
#[derive(Debug)]
pub struct Store {
    current: watch::Sender<View>,
    history: Mutex<History>,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            current: watch::Sender::new(View::default()),
            history: Mutex::new(History {
                complete_since: 0,
                sets: VecDeque::new(),
            }),
        }
    }
}

impl Store {
    /// The state now.
    pub fn view(&self) -> View {
        self.current.borrow().clone()
    }

    /// Follows the state: always the newest view, never every one.
    pub fn subscribe(&self) -> watch::Receiver<View> {
        self.current.subscribe()
    }

    /// Every change after a revision, in order and without a gap.
    pub fn changes_since(&self, revision: u64) -> Result<Vec<Arc<ChangeSet>>, Lagged> {
        let history = self.history.lock();
        if revision < history.complete_since {
            return Err(Lagged(revision));
        }
        let first = history.sets.partition_point(|set| set.revision <= revision);
        Ok(history.sets.range(first..).cloned().collect())
    }

    /// Returns once the state is at `revision` or beyond.
    pub async fn wait_for(&self, revision: u64) -> View {
        let mut views = self.subscribe();
        let reached = views
            .wait_for(|view| view.revision() >= revision)
            .await
            .map(|v| v.clone());
        // The sender lives in `self`, so waiting cannot end without a view.
        reached.unwrap_or_else(|_| self.view())
    }

    /// Applies a committed command.
    pub fn apply(&self, index: u64, command: &Command) -> CommandResult {
        let applied = apply(&self.view(), index, command);
        if !applied.changed.is_empty() {
            let mut history = self.history.lock();
            history.sets.push_back(Arc::new(ChangeSet {
                revision: index,
                changed: applied.changed,
            }));
            while history.sets.len() > HISTORY {
                if let Some(dropped) = history.sets.pop_front() {
                    history.complete_since = dropped.revision;
                }
            }
        }
        self.current.send_replace(Arc::new(applied.state));
        applied.result
    }

    /// A log entry without a command passed by.
    pub fn advance(&self, index: u64) {
        let mut state = State::clone(&self.view());
        state.set_revision(index);
        self.current.send_replace(Arc::new(state));
    }

    /// Replaces everything by a state that was written down.
    pub fn restore(&self, state: State) {
        {
            let mut history = self.history.lock();
            history.complete_since = state.revision();
            history.sets.clear();
        }
        self.current.send_replace(Arc::new(state));
    }
}
