//! Is there an order of the operations that a single register could have served?
//!
//! The search of Wing and Gong with the memory of Lowe: walk along invocations and answers in
//! time; an invocation may be put next if the register allows it; an answer whose operation was
//! not put yet means that the last choice was wrong. A combination of "put so far" and state that
//! was tried before is not tried again.

use crate::history::History;
use crate::memo::Memo;
use crate::operation::Operation;
use crate::operation::Outcome;
use crate::operation::Shown;
use crate::operation::Value;
use crate::register::Number;
use crate::register::Numbers;
use crate::register::Step;

/// Steps of the search per key. A legal history takes about two per operation; this
/// many take some seconds, and some hundred MiB to remember them.
pub const DEFAULT_BUDGET: u64 = 5_000_000;

/// What a search that found an order looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Registers.
    pub keys: usize,
    /// Operations, those without effect included.
    pub operations: usize,
    /// Steps of the search.
    pub steps: u64,
}

/// Why a history cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No order explains it.
    #[error(
        "key {key} is not linearizable: after the longest explicable prefix of {explained} operations the value is {}, and nothing explains {stuck}; under way at that time: {}",
        Shown(value),
        list(concurrent)
    )]
    Violation {
        /// The register.
        key: String,
        /// How many operations the longest prefix explains.
        explained: usize,
        /// The value after it.
        value: Value,
        /// An operation that had to have its effect by then, and could not.
        stuck: Box<Operation>,
        /// Operations under way with it that were not put in order either.
        concurrent: Vec<Operation>,
    },
    /// The search was given up: neither accepted nor refused.
    #[error("key {key}: no answer within {steps} steps for {operations} operations")]
    GaveUp {
        /// The register.
        key: String,
        /// How many operations it has.
        operations: usize,
        /// The budget that was used up.
        steps: u64,
    },
}

fn list(operations: &[Operation]) -> String {
    let shown: Vec<String> = operations.iter().map(Operation::to_string).collect();
    match shown.is_empty() {
        true => "nothing".to_owned(),
        false => shown.join("; "),
    }
}

/// Whether the registers, absent at first, could have served this history one operation at a time.
///
/// # Errors
/// The first key with a violation, or whose search took more than `budget` steps.
pub fn linearizable(history: &History, budget: u64) -> Result<Summary, Problem> {
    let keys = history.by_key();
    let mut summary = Summary {
        keys: keys.len(),
        operations: history.len(),
        steps: 0,
    };
    for (key, operations) in keys {
        summary.steps += Search::new(key, &operations).run(budget)?;
    }
    Ok(summary)
}

/// An invocation or an answer on the way along time.
#[derive(Clone, Copy, Debug)]
struct Event {
    at: u64,
    op: usize,
    kind: Kind,
}

/// Invocations sort before answers of the same time: those two operations overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Invoke,
    Return,
}

/// Where a list of events begins and ends.
const HEAD: usize = 0;

struct Search<'a> {
    key: &'a str,
    /// Those with an effect or an observation.
    operations: Vec<&'a Operation>,
    steps: Vec<Step>,
    numbers: Numbers<'a>,
    /// Event `e` is at `e + 1`; 0 is the head of the ring.
    events: Vec<Event>,
    next: Vec<usize>,
    prev: Vec<usize>,
    /// Where each operation's events are; an unknown one has no answer.
    invoke: Vec<usize>,
    answer: Vec<Option<usize>>,
    memo: Memo,
    /// Operations with an answer that are not put yet.
    missing: usize,
}

impl<'a> Search<'a> {
    fn new(key: &'a str, all: &[&'a Operation]) -> Search<'a> {
        let mut numbers = Numbers::default();
        let mut operations = Vec::new();
        let mut steps = Vec::new();
        for &op in all {
            if let Some(step) = Step::of(op, &mut numbers) {
                operations.push(op);
                steps.push(step);
            }
        }
        drop_unseen(&mut operations, &mut steps);
        let mut events = Vec::new();
        for (op, operation) in operations.iter().enumerate() {
            let (kind, at) = (Kind::Invoke, operation.invoked);
            events.push(Event { at, op, kind });
            if let Some(at) = answered(operation) {
                let kind = Kind::Return;
                events.push(Event { at, op, kind });
            }
        }
        events.sort_by_key(|event| (event.at, event.kind, event.op));
        let mut invoke = vec![HEAD; operations.len()];
        let mut answer = vec![None; operations.len()];
        for (place, event) in events.iter().enumerate() {
            match event.kind {
                Kind::Invoke => invoke[event.op] = place + 1,
                Kind::Return => answer[event.op] = Some(place + 1),
            }
        }
        let ring = events.len() + 1;
        let required: Vec<bool> = operations.iter().map(|op| answered(op).is_some()).collect();
        Search {
            key,
            steps,
            numbers,
            next: (0..ring).map(|place| (place + 1) % ring).collect(),
            prev: (0..ring).map(|place| (place + ring - 1) % ring).collect(),
            invoke,
            answer,
            missing: required.iter().filter(|required| **required).count(),
            memo: Memo::new(required),
            operations,
            events,
        }
    }

    /// The number of steps it took.
    fn run(mut self, budget: u64) -> Result<u64, Problem> {
        let mut state: Number = 0;
        let mut put: Vec<(usize, Number)> = Vec::new();
        let mut furthest = Furthest::default();
        let mut at = self.next[HEAD];
        let mut taken = 0;
        while self.missing > 0 {
            taken += 1;
            if taken > budget {
                return Err(Problem::GaveUp {
                    key: self.key.to_owned(),
                    operations: self.operations.len(),
                    steps: budget,
                });
            }
            // The ring has an answer while one is missing, so the head is never reached.
            let event = self.events[at - 1];
            match event.kind {
                Kind::Invoke => {
                    let after = self.steps[event.op].apply(state);
                    match after.filter(|after| self.try_put(event.op, *after)) {
                        Some(after) => {
                            put.push((event.op, state));
                            state = after;
                            at = self.next[HEAD];
                        }
                        None => at = self.next[at],
                    }
                }
                Kind::Return => {
                    furthest.note(&put, state, event.op);
                    let Some((op, before)) = put.pop() else {
                        return Err(self.violation(&furthest));
                    };
                    state = before;
                    self.take_back(op);
                    at = self.next[self.invoke[op]];
                }
            }
        }
        Ok(taken)
    }

    /// Takes an operation out of the ring, unless that was tried.
    fn try_put(&mut self, op: usize, after: Number) -> bool {
        self.memo.put(op);
        if !self.memo.is_new(after) {
            self.memo.take_back(op);
            return false;
        }
        self.unlink(self.invoke[op]);
        if let Some(answer) = self.answer[op] {
            self.unlink(answer);
            self.missing -= 1;
        }
        true
    }

    fn take_back(&mut self, op: usize) {
        self.memo.take_back(op);
        if let Some(answer) = self.answer[op] {
            self.link(answer);
            self.missing += 1;
        }
        self.link(self.invoke[op]);
    }

    fn unlink(&mut self, place: usize) {
        let (prev, next) = (self.prev[place], self.next[place]);
        self.next[prev] = next;
        self.prev[next] = prev;
    }

    /// Undoes [`Search::unlink`], in the opposite order of those.
    fn link(&mut self, place: usize) {
        let (prev, next) = (self.prev[place], self.next[place]);
        self.next[prev] = place;
        self.prev[next] = place;
    }

    fn violation(&self, furthest: &Furthest) -> Problem {
        let stuck = self.operations[furthest.stuck];
        let deadline = stuck.returned.unwrap_or(u64::MAX);
        let concurrent = |(op, operation): (usize, &&'a Operation)| {
            let left = op != furthest.stuck && !furthest.put.contains(&op);
            (left && operation.invoked <= deadline).then(|| (*operation).clone())
        };
        let left = self.operations.iter().enumerate();
        Problem::Violation {
            key: self.key.to_owned(),
            explained: furthest.put.len(),
            value: self.numbers.value(furthest.state),
            stuck: Box::new(stuck.clone()),
            concurrent: left.filter_map(concurrent).collect(),
        }
    }
}

/// Drops unknown operations that nobody can have noticed: a write of a value that was never read
/// and that no compare-and-set began from. An order that has such a write is as good without it,
/// unless somebody learnt what the value was *not*.
fn drop_unseen(operations: &mut Vec<&Operation>, steps: &mut Vec<Step>) {
    if steps.iter().any(|step| matches!(step, Step::IsNot(_))) {
        return;
    }
    let noticed: Vec<Number> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Is(seen) | Step::Swap(seen, _) => Some(*seen),
            Step::IsNot(_) | Step::Put(_) => None,
        })
        .collect();
    let keep: Vec<bool> = operations
        .iter()
        .zip(steps.iter())
        .map(|(op, step)| match step {
            Step::Put(new) | Step::Swap(_, new) => answered(op).is_some() || noticed.contains(new),
            Step::Is(_) | Step::IsNot(_) => true,
        })
        .collect();
    let mut kept = keep.iter();
    operations.retain(|_| *kept.next().unwrap_or(&true));
    let mut kept = keep.iter();
    steps.retain(|_| *kept.next().unwrap_or(&true));
}

/// When an operation's effect was certain; never for an unknown one.
fn answered(op: &Operation) -> Option<u64> {
    match op.outcome {
        Outcome::Unknown => None,
        Outcome::Done | Outcome::Read(_) | Outcome::Mismatch | Outcome::Failed => op.returned,
    }
}

/// The longest prefix that was explained, for the message.
#[derive(Debug, Default)]
struct Furthest {
    put: Vec<usize>,
    state: Number,
    stuck: usize,
    any: bool,
}

impl Furthest {
    fn note(&mut self, put: &[(usize, Number)], state: Number, stuck: usize) {
        if !self.any || put.len() > self.put.len() {
            self.put = put.iter().map(|(op, _)| *op).collect();
            self.state = state;
            self.stuck = stuck;
            self.any = true;
        }
    }
}
