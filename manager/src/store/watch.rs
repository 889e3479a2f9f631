//! The live state: applies commands as they are committed and lets others follow.

use crate::store::View;
use crate::store::history::ChangeSet;
use crate::store::history::Delta;
use crate::store::history::History;
use crate::store::history::Lagged;
use crate::store::state::State;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use weft_proto::command::Command;
use weft_proto::command::CommandResult;
use weft_proto::command::Conflict;

/// The live state. One writer (the log), any number of readers.
#[derive(Debug)]
pub struct Store {
    current: watch::Sender<View>,
    /// Always that of `current`: both change while this is held.
    history: Mutex<History>,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            current: watch::Sender::new(View::default()),
            history: Mutex::default(),
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
        self.history.lock().sets(revision)
    }

    /// The next `limit` changes after a revision, with the objects as they were: in order, without
    /// a gap, each once. Fewer than `limit` are all there are.
    pub fn deltas_since(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Delta>>, Lagged> {
        self.history.lock().deltas(revision, limit)
    }

    /// Returns once the state is at `revision` or beyond.
    pub async fn wait_for(&self, revision: u64) -> View {
        self.wait_until(|view| view.revision() >= revision).await
    }

    /// Returns once the log entry at `index` is part of the state.
    pub async fn wait_applied(&self, index: u64) -> View {
        self.wait_until(|view| view.index() >= index).await
    }

    async fn wait_until(&self, reached: impl FnMut(&View) -> bool) -> View {
        let mut views = self.subscribe();
        let view = views.wait_for(reached).await.map(|view| view.clone());
        // The sender lives in `self`, so waiting cannot end without a view.
        view.unwrap_or_else(|_| self.view())
    }

    /// Applies a committed log entry that holds a single command.
    pub fn apply(&self, index: u64, command: &Command) -> CommandResult {
        let mut results = self.apply_all(index, vec![Ok(command.clone())]);
        // One command has one result.
        results.pop().unwrap_or(Ok(index))
    }

    /// Applies the commands of a committed log entry, in order, each as a whole or not at all.
    /// Readers see the state before all of them or after, never one in between. What could not be
    /// read as a command is refused as is.
    pub fn apply_all(
        &self,
        index: u64,
        commands: Vec<Result<Command, Conflict>>,
    ) -> Vec<CommandResult> {
        let mut state = State::clone(&self.current.borrow());
        let mut results = Vec::with_capacity(commands.len());
        let mut news = Vec::with_capacity(commands.len());
        for command in commands {
            let command = match command {
                Ok(command) => command,
                Err(conflict) => {
                    results.push(Err(conflict));
                    continue;
                }
            };
            let at = command.at;
            let (result, steps) = state.transact(index, command);
            if let Ok(revision) = result
                && !steps.is_empty()
            {
                news.push((revision, at, steps));
            }
            results.push(result);
        }
        state.advance(index);
        let mut history = self.history.lock();
        for (revision, at, steps) in news {
            history.push(revision, at, steps);
        }
        self.current.send_replace(Arc::new(state));
        results
    }

    /// A log entry without a command passed by.
    pub fn advance(&self, index: u64) {
        self.apply_all(index, Vec::new());
    }

    /// Replaces everything by a state that was written down.
    pub fn restore(&self, state: State) {
        let mut history = self.history.lock();
        *history = History::begin(state.revision());
        self.current.send_replace(Arc::new(state));
    }
}
