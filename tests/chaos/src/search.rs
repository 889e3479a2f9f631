//! The same judgement once more, by a search that does not believe the store's versions.

use crate::record::Action;
use crate::record::Operation;
use crate::record::Outcome;
use std::collections::BTreeMap;
use weft_history::ClientId;
use weft_history::History;
use weft_history::OpId;
use weft_history::Problem;
use weft_history::Summary;

/// Whether the values alone, without their versions, can be explained by registers.
///
/// Unknown writes would make the search hopeless: each may have its effect at any later time. They
/// need not be left open, because values are unique. One that nobody ever saw is as well left out,
/// and one that was seen had its effect before the first answer that shows it; so its end is set
/// there. Swaps that were refused say little more than that, and are left out.
///
/// # Errors
/// The first register that no order explains.
pub fn search(operations: &[Operation], budget: u64) -> Result<Summary, Problem> {
    let shown = first_shown(operations);
    let translated = (0..).zip(operations).filter_map(|(id, op)| {
        let first = op.action.value().and_then(|value| shown.get(&value));
        let (outcome, returned) = match op.outcome {
            Outcome::Done => (weft_history::Outcome::Done, op.returned),
            Outcome::Read(seen) => (
                weft_history::Outcome::Read(Some(seen.value.to_string())),
                op.returned,
            ),
            Outcome::Unknown => (weft_history::Outcome::Done, *first?),
            Outcome::Mismatch | Outcome::Failed => return None,
        };
        Some(weft_history::Operation {
            id: OpId(id),
            client: ClientId(op.client),
            key: op.key.to_string(),
            action: action(op.action),
            invoked: op.invoked,
            returned: Some(returned),
            outcome,
        })
    });
    let history: History = translated.collect();
    weft_history::linearizable(&history, budget)
}

fn action(action: Action) -> weft_history::Action {
    let value = |value: u64| Some(value.to_string());
    match action {
        Action::Read => weft_history::Action::Read,
        Action::Write(new) => weft_history::Action::Write(value(new)),
        // Absent until it was made, which happens once.
        Action::Create(new) => weft_history::Action::Cas {
            expect: None,
            new: value(new),
        },
        Action::Swap {
            expect, value: new, ..
        } => weft_history::Action::Cas {
            expect: value(expect),
            new: value(new),
        },
    }
}

/// When a value was first shown to somebody: by a read, or by a swap that began from it.
fn first_shown(operations: &[Operation]) -> BTreeMap<u64, u64> {
    let mut shown: BTreeMap<u64, u64> = BTreeMap::new();
    for op in operations {
        let value = match (op.action, op.outcome) {
            (_, Outcome::Read(seen)) => seen.value,
            (Action::Swap { expect, .. }, Outcome::Done) => expect,
            (_, Outcome::Done | Outcome::Mismatch | Outcome::Failed | Outcome::Unknown) => continue,
        };
        let first = shown.entry(value).or_insert(op.returned);
        *first = (*first).min(op.returned);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Seen;

    fn op(action: Action, outcome: Outcome, invoked: u64, returned: u64) -> Operation {
        Operation {
            client: 1,
            node: 0,
            key: 0,
            action,
            invoked,
            returned,
            outcome,
            revision: 0,
            sent: 1,
        }
    }

    fn read(value: u64, invoked: u64, returned: u64) -> Operation {
        // The version is a lie, and nobody looks at it.
        let seen = Seen { value, version: 0 };
        op(Action::Read, Outcome::Read(seen), invoked, returned)
    }

    #[test]
    fn an_unknown_write_is_placed_by_who_saw_it() {
        let operations = [
            op(Action::Write(1), Outcome::Unknown, 0, 5),
            op(Action::Write(2), Outcome::Done, 10, 11),
            read(2, 12, 13),
            read(1, 20, 21),
        ];
        assert!(search(&operations, 1000).is_ok());
        let operations = [
            operations[0],
            operations[1],
            read(1, 12, 13),
            read(2, 20, 21),
        ];
        assert!(search(&operations, 1000).is_err(), "it came and went");
    }

    #[test]
    fn a_stale_read_is_found_without_versions() {
        let operations = [
            op(Action::Create(1), Outcome::Done, 0, 1),
            op(Action::Write(2), Outcome::Done, 2, 3),
            read(1, 4, 5),
        ];
        assert!(search(&operations, 1000).is_err());
    }
}
