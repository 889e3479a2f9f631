//! Whether a correct cluster could have given its clients these answers.
//!
//! The store gives every write a version, in the order of all writes, and a read tells value and
//! version. So there is a witness of the order in which everything happened, and judging needs no
//! search: the witness must agree with itself, with what was acknowledged, and with time.

use crate::record::Action;
use crate::record::Operation;
use crate::record::Outcome;
use crate::record::Seen;
use std::collections::BTreeMap;
use std::fmt;

/// Something no correct cluster does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// One value was seen with two versions, or one version with two values.
    TwoStories(u32, Seen, Seen),
    /// A value was seen that nobody wrote.
    FromNowhere(u32, Seen),
    /// A write that was refused for certain was seen.
    Refused(Operation, Seen),
    /// An operation ended before the other began, and comes after it in the order of versions.
    Backwards {
        /// The earlier one.
        before: Operation,
        /// Its place in the order.
        at: u64,
        /// The later one.
        after: Operation,
        /// Its place.
        then: u64,
    },
    /// A swap succeeded although something lay between its version and its own.
    NoSwap {
        /// The swap.
        swap: Operation,
        /// Its own version.
        at: u64,
        /// What lay between.
        between: u64,
    },
    /// What was read at the end is older than an acknowledged write.
    Lost {
        /// The write.
        write: Operation,
        /// What was there at the end; nothing at all if `None`.
        last: Option<Seen>,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::TwoStories(key, one, other) => {
                write!(f, "register {key} was seen as {one:?} and as {other:?}")
            }
            Breach::FromNowhere(key, seen) => {
                write!(f, "register {key} was seen as {seen:?}, which nobody wrote")
            }
            Breach::Refused(op, seen) => write!(f, "refused, and yet seen as {seen:?}: {op:?}"),
            Breach::Backwards {
                before,
                at,
                after,
                then,
            } => write!(
                f,
                "order {at} ended before order {then} began: {before:?} and then {after:?}"
            ),
            Breach::NoSwap { swap, at, between } => write!(
                f,
                "a swap to version {at} succeeded over version {between}: {swap:?}"
            ),
            Breach::Lost { write, last } => {
                write!(f, "acknowledged and lost, {last:?} is left: {write:?}")
            }
        }
    }
}

/// Everything that was seen of any register, from whichever source.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    by_value: BTreeMap<(u32, u64), u64>,
    by_version: BTreeMap<(u32, u64), u64>,
    breaches: Vec<Breach>,
}

impl Sightings {
    /// Takes a sighting down, and notices when it contradicts an earlier one.
    pub fn add(&mut self, key: u32, seen: Seen) {
        let version = *self
            .by_value
            .entry((key, seen.value))
            .or_insert(seen.version);
        let value = *self
            .by_version
            .entry((key, seen.version))
            .or_insert(seen.value);
        if version != seen.version {
            let value = seen.value;
            let other = Seen { value, version };
            self.breaches.push(Breach::TwoStories(key, other, seen));
        }
        if value != seen.value {
            let version = seen.version;
            let other = Seen { value, version };
            self.breaches.push(Breach::TwoStories(key, other, seen));
        }
    }

    /// The version of a value, if it was ever seen.
    pub fn version(&self, key: u32, value: u64) -> Option<u64> {
        self.by_value.get(&(key, value)).copied()
    }

    /// How many different contents were seen.
    pub fn len(&self) -> usize {
        self.by_value.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.by_value.is_empty()
    }

    fn between(&self, key: u32, low: u64, high: u64) -> Option<u64> {
        let mut inside = self
            .by_version
            .range((key, low + 1)..(key, high.max(low + 1)));
        inside.next().map(|((_, version), _)| *version)
    }
}

/// Judges what clients were told. `seen` may hold more sightings, from watchers say; those of the
/// operations are added. `last` is what every manager has when all is over.
pub fn judge(
    operations: &[Operation],
    mut seen: Sightings,
    last: &BTreeMap<u32, Seen>,
) -> Vec<Breach> {
    for op in operations {
        if let Outcome::Read(content) = op.outcome {
            seen.add(op.key, content);
        }
    }
    for (key, content) in last {
        seen.add(*key, *content);
    }
    let mut breaches = std::mem::take(&mut seen.breaches);
    breaches.extend(origins(operations, &seen));
    breaches.extend(swaps(operations, &seen));
    breaches.extend(order(operations, &seen));
    breaches.extend(lost(operations, &seen, last));
    breaches
}

/// Every value seen was written by somebody who was not refused.
fn origins(operations: &[Operation], seen: &Sightings) -> Vec<Breach> {
    let mut writers: BTreeMap<(u32, u64), &Operation> = BTreeMap::new();
    for op in operations {
        if let Some(value) = op.action.value() {
            writers.insert((op.key, value), op);
        }
    }
    let judged = seen
        .by_value
        .iter()
        .filter_map(|(&(key, value), &version)| {
            let content = Seen { value, version };
            match writers.get(&(key, value)) {
                None => Some(Breach::FromNowhere(key, content)),
                Some(op) => match op.outcome {
                    Outcome::Failed | Outcome::Mismatch => Some(Breach::Refused(**op, content)),
                    Outcome::Done | Outcome::Unknown | Outcome::Read(_) => None,
                },
            }
        });
    judged.collect()
}

/// A swap that succeeded follows immediately on the version it named.
fn swaps(operations: &[Operation], seen: &Sightings) -> Vec<Breach> {
    let judged = operations.iter().filter_map(|op| {
        let Action::Swap { version, value, .. } = op.action else {
            return None;
        };
        let at = seen.version(op.key, value)?;
        let between = match at > version {
            true => seen.between(op.key, version, at)?,
            false => at,
        };
        let swap = *op;
        Some(Breach::NoSwap { swap, at, between })
    });
    judged.collect()
}

/// Versions and time agree. Writes of all registers are in one order, and a read has its place in
/// it by the revision of the state it shows; within its register also by the version it saw.
fn order(operations: &[Operation], seen: &Sightings) -> Vec<Breach> {
    let written = |op: &Operation| match op.outcome {
        Outcome::Done | Outcome::Unknown => seen.version(op.key, op.action.value()?),
        Outcome::Mismatch | Outcome::Failed | Outcome::Read(_) => None,
    };
    let shown = |op: &Operation| match op.outcome {
        Outcome::Read(_) => Some(op.revision).filter(|revision| *revision > 0),
        Outcome::Done | Outcome::Unknown | Outcome::Mismatch | Outcome::Failed => None,
    };
    let mut all = Vec::new();
    let mut keys: BTreeMap<u32, Vec<(Operation, u64)>> = BTreeMap::new();
    for op in operations {
        let own = keys.entry(op.key).or_default();
        if let Some(at) = written(op) {
            all.push((*op, at));
            own.push((*op, at));
        }
        if let Outcome::Read(content) = op.outcome {
            own.push((*op, content.version));
        }
        all.extend(shown(op).map(|at| (*op, at)));
    }
    let mut breaches = backwards(all);
    for (_, operations) in keys {
        breaches.extend(backwards(operations));
    }
    breaches
}

/// Operations that began after another one had ended and yet come before it. An unknown write may
/// have had its effect long after it was given up, so only its beginning counts.
fn backwards(mut operations: Vec<(Operation, u64)>) -> Vec<Breach> {
    operations.sort_by_key(|(op, _)| op.invoked);
    let mut ended: Vec<(Operation, u64)> = operations
        .iter()
        .filter(|(op, _)| op.outcome != Outcome::Unknown)
        .copied()
        .collect();
    ended.sort_by_key(|(op, _)| op.returned);
    let mut ended = ended.into_iter().peekable();
    let mut highest: Option<(Operation, u64)> = None;
    let mut breaches = Vec::new();
    for (after, then) in operations {
        while let Some((op, at)) = ended.next_if(|(op, _)| op.returned < after.invoked) {
            if highest.is_none_or(|(_, most)| at > most) {
                highest = Some((op, at));
            }
        }
        let Some((before, at)) = highest else {
            continue;
        };
        let fine = match after.action {
            Action::Read => then >= at,
            Action::Create(_) | Action::Write(_) | Action::Swap { .. } => then > at,
        };
        if !fine {
            breaches.push(Breach::Backwards {
                before,
                at,
                after,
                then,
            });
        }
    }
    breaches
}

/// What is left at the end is no older than any acknowledged write, and there for each of them.
fn lost(operations: &[Operation], seen: &Sightings, last: &BTreeMap<u32, Seen>) -> Vec<Breach> {
    let judged = operations.iter().filter_map(|op| {
        let value = op.action.value()?;
        if op.outcome != Outcome::Done {
            return None;
        }
        let there = last.get(&op.key).copied();
        let kept = there.is_some_and(|content| {
            // Never seen: overwritten before anybody looked.
            seen.version(op.key, value)
                .is_none_or(|version| content.version >= version)
        });
        let write = *op;
        (!kept).then_some(Breach::Lost { write, last: there })
    });
    judged.collect()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
