//! Which combinations of "done so far" and state were tried already.

use crate::register::Number;
use std::collections::BTreeSet;
use std::collections::HashSet;

/// Operations that were put in order, in a form that compares cheaply.
///
/// Operations are numbered by invocation, and nearly always the required ones that are done are
/// all up to some number and a few beyond it; so only that number and the exceptions are kept.
#[derive(Debug)]
pub(crate) struct Memo {
    /// Those that have to be done in the end; the others may never happen.
    required: Vec<bool>,
    /// The first required one that is not done.
    base: usize,
    /// Done, and not implied by `base`.
    apart: BTreeSet<usize>,
    seen: HashSet<Box<[u32]>>,
}

impl Memo {
    /// Nothing done yet.
    pub(crate) fn new(required: Vec<bool>) -> Memo {
        let mut memo = Memo {
            required,
            base: 0,
            apart: BTreeSet::new(),
            seen: HashSet::new(),
        };
        memo.advance();
        memo
    }

    /// Marks an operation done.
    pub(crate) fn put(&mut self, op: usize) {
        self.apart.insert(op);
        self.advance();
    }

    /// Marks a done operation not done.
    pub(crate) fn take_back(&mut self, op: usize) {
        self.apart.remove(&op);
        if self.required[op] && op < self.base {
            let implied = (op + 1..self.base).filter(|&op| self.required[op]);
            self.apart.extend(implied);
            self.base = op;
        }
    }

    fn advance(&mut self) {
        while self.base < self.required.len() {
            if self.required[self.base] && !self.apart.remove(&self.base) {
                return;
            }
            self.base += 1;
        }
    }

    /// Whether this combination is new; it is not the next time.
    pub(crate) fn is_new(&mut self, state: Number) -> bool {
        let number = |op: usize| u32::try_from(op).unwrap_or(u32::MAX);
        let key: Box<[u32]> = [state, number(self.base)]
            .into_iter()
            .chain(self.apart.iter().map(|&op| number(op)))
            .collect();
        self.seen.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_set_is_known_whatever_the_way_to_it() {
        let mut memo = Memo::new(vec![true, false, true, true]);
        memo.put(2);
        memo.put(0);
        assert!(memo.is_new(1));
        memo.put(3);
        assert!(memo.is_new(1));
        memo.take_back(3);
        memo.take_back(0);
        memo.put(0);
        assert!(!memo.is_new(1), "0 and 2");
        assert!(memo.is_new(2), "another state");
        memo.put(1);
        assert!(memo.is_new(1), "with what may never happen");
        memo.take_back(1);
        memo.take_back(2);
        assert!(memo.is_new(1), "0 alone");
    }
}
