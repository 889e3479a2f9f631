//! Takes down what clients do, while they do it.

use crate::history::History;
use crate::lines::Recording;
use crate::operation::Action;
use crate::operation::ClientId;
use crate::operation::OpId;
use crate::operation::Operation;
use crate::operation::Outcome;
use parking_lot::Mutex;
use std::sync::Arc;

/// Takes down the operations of all clients of a run. Clones write into the same book.
///
/// The caller gives the time, so that a simulation can give its own. Stamps are made to rise
/// strictly in the order in which the calls arrive here, which is their real order: so operations
/// that followed each other within one tick of the clock are not taken for concurrent ones.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    operations: Vec<Operation>,
    last: u64,
}

impl Book {
    fn stamp(&mut self, now: u64) -> u64 {
        self.last = now.max(self.last + 1);
        self.last
    }
}

/// An operation under way. Dropped without an answer it stays unknown.
#[derive(Debug)]
#[must_use = "an operation without an answer is recorded as one whose effect is unknown"]
pub struct Pending {
    book: Arc<Mutex<Book>>,
    place: usize,
}

impl Recorder {
    /// An empty book.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// An operation begins: to be called before anything is sent.
    pub fn invoke(&self, now: u64, client: ClientId, key: &str, action: Action) -> Pending {
        let mut book = self.0.lock();
        let invoked = book.stamp(now);
        let place = book.operations.len();
        book.operations.push(Operation {
            id: OpId(place as u64),
            client,
            key: key.to_owned(),
            action,
            invoked,
            returned: None,
            outcome: Outcome::Unknown,
        });
        let book = Arc::clone(&self.0);
        Pending { book, place }
    }

    /// What was recorded until now; operations under way are unknown ones.
    pub fn history(&self) -> History {
        History::new(self.0.lock().operations.clone())
    }

    /// How many operations were begun.
    pub fn len(&self) -> usize {
        self.0.lock().operations.len()
    }

    /// Whether none was begun.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The history as a recording that can be written down.
    pub fn recording(&self) -> Recording {
        Recording {
            history: self.history(),
            streams: Vec::new(),
        }
    }
}

impl Pending {
    /// It ended: to be called after the answer has arrived.
    pub fn returned(self, now: u64, outcome: Outcome) {
        let mut book = self.book.lock();
        let returned = book.stamp(now);
        let operation = &mut book.operations[self.place];
        operation.returned = Some(returned);
        operation.outcome = outcome;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_within_one_tick_keep_their_order() {
        let book = Recorder::new();
        let first = book.invoke(5, ClientId(1), "a", Action::Read);
        first.returned(5, Outcome::Read(None));
        let second = book.invoke(5, ClientId(2), "a", Action::Read);
        drop(second);
        let history = book.history();
        let [first, second] = history.operations() else {
            panic!("two operations");
        };
        assert!(first.returned.unwrap() < second.invoked);
        assert_eq!(second.outcome, Outcome::Unknown);
        assert_eq!(second.returned, None);
    }
}
