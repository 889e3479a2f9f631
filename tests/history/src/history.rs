//! Operations of one run.

use crate::operation::Operation;
use crate::operation::Outcome;
use std::collections::BTreeMap;

/// The operations of a run, by invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    operations: Vec<Operation>,
}

impl History {
    /// A history of these operations, in any order.
    pub fn new(mut operations: Vec<Operation>) -> History {
        operations.sort_by_key(|op| (op.invoked, op.id));
        History { operations }
    }

    /// All operations, by invocation.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many ended so that the client knows their effect.
    pub fn answered(&self) -> usize {
        let known = |op: &&Operation| match op.outcome {
            Outcome::Done | Outcome::Read(_) | Outcome::Mismatch => true,
            Outcome::Failed | Outcome::Unknown => false,
        };
        self.operations.iter().filter(known).count()
    }

    /// The operations of each register, by invocation. Registers are independent of each other, so
    /// a history is linearizable exactly when each of these is.
    pub(crate) fn by_key(&self) -> BTreeMap<&str, Vec<&Operation>> {
        let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for op in &self.operations {
            keys.entry(&op.key).or_default().push(op);
        }
        keys
    }
}

impl FromIterator<Operation> for History {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> History {
        History::new(operations.into_iter().collect())
    }
}
