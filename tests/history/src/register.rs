//! The model: one register, with values as small numbers.

use crate::operation::Action;
use crate::operation::Operation;
use crate::operation::Outcome;
use crate::operation::Value;
use std::collections::BTreeMap;

/// The number of a value within one key; absence is 0.
pub(crate) type Number = u32;

/// Numbers for values, so that states compare and hash as integers.
#[derive(Debug, Default)]
pub(crate) struct Numbers<'a> {
    known: BTreeMap<&'a str, Number>,
    names: Vec<&'a str>,
}

impl<'a> Numbers<'a> {
    pub(crate) fn of(&mut self, value: &'a Value) -> Number {
        let Some(value) = value else { return 0 };
        let names = &mut self.names;
        *self.known.entry(value).or_insert_with(|| {
            names.push(value);
            // A key with four thousand million different values does not fit into memory.
            Number::try_from(names.len()).unwrap_or(Number::MAX)
        })
    }

    pub(crate) fn value(&self, number: Number) -> Value {
        let place = (number as usize).checked_sub(1)?;
        self.names.get(place).map(|name| (*name).to_owned())
    }
}

/// What an operation does to a register, with what the client learnt of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The register is seen to hold this.
    Is(Number),
    /// It is seen not to hold this.
    IsNot(Number),
    /// It gets this.
    Put(Number),
    /// It holds the first and gets the second.
    Swap(Number, Number),
}

impl Step {
    /// The register afterwards; `None`: it could not have been answered like that.
    pub(crate) fn apply(self, state: Number) -> Option<Number> {
        match self {
            Step::Is(seen) => (state == seen).then_some(state),
            Step::IsNot(other) => (state != other).then_some(state),
            Step::Put(new) => Some(new),
            Step::Swap(expect, new) => (state == expect).then_some(new),
        }
    }

    /// The step of an operation; `None` when it says nothing and changes nothing.
    pub(crate) fn of<'a>(op: &'a Operation, numbers: &mut Numbers<'a>) -> Option<Step> {
        match (&op.action, &op.outcome) {
            (_, Outcome::Failed) | (Action::Read, Outcome::Unknown) => None,
            (Action::Read, Outcome::Read(seen)) => Some(Step::Is(numbers.of(seen))),
            (Action::Write(new), Outcome::Done | Outcome::Unknown) => {
                Some(Step::Put(numbers.of(new)))
            }
            (Action::Cas { expect, new }, Outcome::Done | Outcome::Unknown) => {
                Some(Step::Swap(numbers.of(expect), numbers.of(new)))
            }
            (Action::Cas { expect, .. }, Outcome::Mismatch) => {
                Some(Step::IsNot(numbers.of(expect)))
            }
            // Answers to another question: the recorder's fault, and refused when lines are read.
            (Action::Read, Outcome::Done | Outcome::Mismatch)
            | (Action::Write(_), Outcome::Read(_) | Outcome::Mismatch)
            | (Action::Cas { .. }, Outcome::Read(_)) => None,
        }
    }
}

/// Whether an outcome can be the end of an action.
pub(crate) fn fits(action: &Action, outcome: &Outcome) -> bool {
    match (action, outcome) {
        (_, Outcome::Failed | Outcome::Unknown)
        | (Action::Read, Outcome::Read(_))
        | (Action::Write(_) | Action::Cas { .. }, Outcome::Done)
        | (Action::Cas { .. }, Outcome::Mismatch) => true,
        (Action::Read, Outcome::Done | Outcome::Mismatch)
        | (Action::Write(_), Outcome::Read(_) | Outcome::Mismatch)
        | (Action::Cas { .. }, Outcome::Read(_)) => false,
    }
}
