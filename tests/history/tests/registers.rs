//! Histories of registers that must be refused, and those that must be accepted.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use proptest::prelude::*;
use weft_history::Action;
use weft_history::ClientId;
use weft_history::DEFAULT_BUDGET;
use weft_history::History;
use weft_history::OpId;
use weft_history::Operation;
use weft_history::Outcome;
use weft_history::Problem;
use weft_history::Recording;
use weft_history::Value;
use weft_history::linearizable;

fn some(value: &str) -> Value {
    Some(value.to_owned())
}

fn write(value: &str) -> (Action, Outcome) {
    (Action::Write(some(value)), Outcome::Done)
}

fn lost(value: &str) -> (Action, Outcome) {
    (Action::Write(some(value)), Outcome::Unknown)
}

fn read(value: &str) -> (Action, Outcome) {
    (Action::Read, Outcome::Read(some(value)))
}

fn read_nothing() -> (Action, Outcome) {
    (Action::Read, Outcome::Read(None))
}

fn cas(expect: &str, new: &str, outcome: Outcome) -> (Action, Outcome) {
    let (expect, new) = (some(expect), some(new));
    (Action::Cas { expect, new }, outcome)
}

/// Operations on one key, each with its first and last moment.
fn history(steps: Vec<(u64, u64, (Action, Outcome))>) -> History {
    let operation = |(n, (invoked, returned, (action, outcome)))| Operation {
        id: OpId(n),
        client: ClientId(0),
        key: "a".to_owned(),
        action,
        invoked,
        returned: Some(returned),
        outcome,
    };
    (0..).zip(steps).map(operation).collect()
}

#[track_caller]
fn legal(steps: Vec<(u64, u64, (Action, Outcome))>) {
    linearizable(&history(steps), DEFAULT_BUDGET).unwrap();
}

#[track_caller]
fn illegal(steps: Vec<(u64, u64, (Action, Outcome))>) {
    let problem = linearizable(&history(steps), DEFAULT_BUDGET).unwrap_err();
    assert!(matches!(problem, Problem::Violation { .. }), "{problem}");
}

#[test]
fn operations_one_after_the_other_read_what_was_written() {
    legal(vec![
        (1, 2, read_nothing()),
        (3, 4, write("x")),
        (5, 6, read("x")),
        (7, 8, cas("x", "y", Outcome::Done)),
        (9, 10, cas("x", "z", Outcome::Mismatch)),
        (11, 12, read("y")),
    ]);
}

#[test]
fn a_stale_read_is_found() {
    illegal(vec![
        (1, 2, write("x")),
        (3, 4, write("y")),
        (5, 6, read("x")),
    ]);
    illegal(vec![(1, 2, write("x")), (3, 4, read_nothing())]);
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    illegal(vec![
        (1, 2, write("x")),
        (3, 4, write("y")),
        (5, 6, read("y")),
        (7, 8, read("x")),
    ]);
}

#[test]
fn two_reads_that_see_concurrent_writes_in_opposite_orders_are_found() {
    let writes = [(1, 10, write("x")), (1, 10, write("y"))];
    legal([&writes[..], &[(2, 3, read("x")), (4, 5, read("y"))]].concat());
    let back = [(2, 3, read("x")), (4, 5, read("y")), (6, 7, read("x"))];
    illegal([&writes[..], &back].concat());
}

#[test]
fn a_read_may_see_a_write_under_way_but_then_so_does_every_later_one() {
    legal(vec![
        (1, 9, write("x")),
        (2, 3, read_nothing()),
        (4, 5, read("x")),
    ]);
    illegal(vec![
        (1, 9, write("x")),
        (2, 3, read("x")),
        (4, 5, read_nothing()),
    ]);
}

#[test]
fn two_compare_and_sets_cannot_both_win() {
    illegal(vec![
        (1, 2, write("x")),
        (3, 8, cas("x", "y", Outcome::Done)),
        (4, 9, cas("x", "z", Outcome::Done)),
    ]);
    legal(vec![
        (1, 2, write("x")),
        (3, 8, cas("x", "y", Outcome::Done)),
        (4, 9, cas("x", "z", Outcome::Mismatch)),
    ]);
}

#[test]
fn a_mismatch_that_had_to_match_is_found() {
    illegal(vec![
        (1, 2, write("x")),
        (3, 4, cas("x", "y", Outcome::Mismatch)),
    ]);
}

#[test]
fn an_unknown_write_may_happen_late_or_never() {
    legal(vec![
        (1, 2, lost("x")),
        (3, 4, read_nothing()),
        (5, 6, read("x")),
    ]);
    legal(vec![(1, 2, lost("x")), (3, 4, read_nothing())]);
}

#[test]
fn an_unknown_write_happens_once() {
    illegal(vec![
        (1, 2, lost("x")),
        (3, 4, read("x")),
        (5, 6, write("y")),
        (7, 8, read("x")),
    ]);
}

#[test]
fn an_unknown_write_does_not_happen_before_it_was_asked_for() {
    illegal(vec![(1, 2, read("x")), (3, 4, lost("x"))]);
}

#[test]
fn a_refused_write_never_happens() {
    let refused = (Action::Write(some("x")), Outcome::Failed);
    legal(vec![(1, 2, refused.clone()), (3, 4, read_nothing())]);
    illegal(vec![(1, 2, refused), (3, 4, read("x"))]);
}

#[test]
fn keys_are_judged_apart_and_the_bad_one_is_named() {
    let mut operations: Vec<Operation> = history(vec![(1, 2, write("x")), (3, 4, read("x"))])
        .operations()
        .to_vec();
    let mut other = operations[1].clone();
    other.id = OpId(9);
    other.key = "b".to_owned();
    operations.push(other);
    let problem = linearizable(&History::new(operations), DEFAULT_BUDGET).unwrap_err();
    let Problem::Violation { key, stuck, .. } = problem else {
        panic!("{problem}");
    };
    assert_eq!((key.as_str(), stuck.id), ("b", OpId(9)));
}

#[test]
fn a_search_that_takes_too_long_is_given_up_and_not_passed() {
    // Twenty writes at once that one read contradicts: every order has to be looked at.
    let names: Vec<String> = (0..20).map(|n| format!("v{n}")).collect();
    let mut steps: Vec<_> = names.iter().map(|name| (1, 100, write(name))).collect();
    for (at, name) in (2..).step_by(2).zip(names.iter().rev()) {
        steps.push((at, at + 1, read(name)));
    }
    steps.push((98, 99, read("never")));
    let problem = linearizable(&history(steps), 100).unwrap_err();
    assert!(matches!(problem, Problem::GaveUp { .. }), "{problem}");
}

#[test]
fn ten_thousand_operations_of_eight_clients_are_judged_within_the_budget() {
    // Client n works at n modulo 8; each operation takes eight ticks, its effect is at the fourth.
    let mut steps = Vec::new();
    let mut value = None;
    for n in 0..10_000_u64 {
        let end = if n % 3 == 0 {
            value = Some(format!("v{n}"));
            (Action::Write(value.clone()), Outcome::Done)
        } else {
            (Action::Read, Outcome::Read(value.clone()))
        };
        steps.push((10 * n, 10 * n + 75, end));
    }
    let summary = linearizable(&history(steps), DEFAULT_BUDGET).unwrap();
    assert_eq!(summary.operations, 10_000);
}

#[test]
fn unknown_writes_that_nobody_saw_cost_nothing() {
    let mut steps: Vec<_> = (0..500)
        .map(|n| (n, n + 1, lost(&format!("u{n}"))))
        .collect();
    steps.extend((0..500).map(|n| (1000 + 2 * n, 1001 + 2 * n, write(&format!("w{n}")))));
    steps.push((3000, 3001, read("w499")));
    let summary = linearizable(&history(steps), DEFAULT_BUDGET).unwrap();
    assert!(summary.steps < 10_000, "{summary:?}");
}

#[test]
fn a_recording_is_read_back_as_it_was() {
    let history = history(vec![
        (1, 9, write("x")),
        (2, 3, read_nothing()),
        (4, 5, cas("x", "y", Outcome::Mismatch)),
        (4, 6, lost("z")),
    ]);
    let recording = Recording {
        history,
        streams: Vec::new(),
    };
    let mut lines = Vec::new();
    recording.write(&mut lines).unwrap();
    assert_eq!(Recording::read(lines.as_slice()).unwrap(), recording);
    let text = String::from_utf8(lines).unwrap();
    assert!(text.starts_with(r#"{"at":1,"op":0,"client":0,"key":"a","invoke":{"write":"x"}}"#));
}

#[test]
fn a_recording_that_was_cut_off_has_unknown_operations() {
    let lines = r#"
        {"at":1,"op":0,"client":0,"key":"a","invoke":{"write":"x"}}
        {"at":2,"op":1,"client":1,"key":"a","invoke":"read"}
        {"at":3,"op":1,"return":{"read":null}}"#;
    let recording = Recording::read(lines.as_bytes()).unwrap();
    let outcomes: Vec<&Outcome> = recording
        .history
        .operations()
        .iter()
        .map(|op| &op.outcome)
        .collect();
    assert_eq!(outcomes, [&Outcome::Unknown, &Outcome::Read(None)]);
    let stray = r#"{"at":3,"op":1,"return":"done"}"#;
    assert!(Recording::read(stray.as_bytes()).is_err());
    let read_done = format!("{lines}\n{stray}");
    assert!(Recording::read(read_done.as_bytes()).is_err());
}

// ---- against a checker that tries every order ------------------------------------------------

fn after(state: &Value, op: &Operation) -> Option<Value> {
    match (&op.action, &op.outcome) {
        (Action::Read, Outcome::Read(seen)) => (seen == state).then(|| state.clone()),
        (Action::Write(new), Outcome::Done | Outcome::Unknown) => Some(new.clone()),
        (Action::Cas { expect, new }, Outcome::Done | Outcome::Unknown) => {
            (expect == state).then(|| new.clone())
        }
        (Action::Cas { expect, .. }, Outcome::Mismatch) => (expect != state).then(|| state.clone()),
        (_, _) => panic!("not generated"),
    }
}

/// Tries every order of `left` that keeps to real time.
fn any_order(state: &Value, left: &[&Operation]) -> bool {
    if left.iter().all(|op| op.outcome == Outcome::Unknown) {
        return true;
    }
    let ends = |op: &&Operation| match op.outcome {
        Outcome::Unknown => u64::MAX,
        Outcome::Done | Outcome::Read(_) | Outcome::Mismatch | Outcome::Failed => {
            op.returned.unwrap()
        }
    };
    let first_end = left.iter().map(ends).min().unwrap();
    (0..left.len()).any(|n| {
        if left[n].invoked > first_end {
            return false;
        }
        let mut rest = left.to_vec();
        let op = rest.remove(n);
        after(state, op).is_some_and(|state| any_order(&state, &rest))
    })
}

fn brute_force(history: &History) -> bool {
    let uninformative = |op: &&Operation| {
        op.outcome != Outcome::Failed
            && !(op.action == Action::Read && op.outcome == Outcome::Unknown)
    };
    let operations: Vec<&Operation> = history.operations().iter().filter(uninformative).collect();
    any_order(&None, &operations)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![Just(None), Just(some("x")), Just(some("y"))]
}

fn end() -> impl Strategy<Value = (Action, Outcome)> {
    let wrote = prop_oneof![
        4 => Just(Outcome::Done),
        2 => Just(Outcome::Unknown),
        1 => Just(Outcome::Failed)
    ];
    let swapped = prop_oneof![
        3 => Just(Outcome::Done),
        2 => Just(Outcome::Unknown),
        2 => Just(Outcome::Mismatch),
        1 => Just(Outcome::Failed)
    ];
    prop_oneof![
        4 => value().prop_map(|seen| (Action::Read, Outcome::Read(seen))),
        1 => Just((Action::Read, Outcome::Unknown)),
        4 => (value(), wrote).prop_map(|(new, outcome)| (Action::Write(new), outcome)),
        3 => (value(), value(), swapped)
            .prop_map(|(expect, new, outcome)| (Action::Cas { expect, new }, outcome)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_search_agrees_with_trying_every_order(
        steps in proptest::collection::vec((0..12_u64, 0..6_u64, end()), 0..8)
    ) {
        let steps = steps
            .into_iter()
            .map(|(invoked, length, end)| (invoked, invoked + length, end))
            .collect();
        let history = history(steps);
        let found = linearizable(&history, DEFAULT_BUDGET).is_ok();
        prop_assert_eq!(found, brute_force(&history), "{:#?}", history);
    }

    #[test]
    fn what_a_register_did_is_accepted(
        steps in proptest::collection::vec((0..3_usize, value(), value(), 0..40_u64, 0..40_u64), 0..40)
    ) {
        let mut state: Value = None;
        let mut done = Vec::new();
        for (at, (kind, a, b, early, late)) in (1..).zip(steps) {
            let at = 10 * at + 100;
            let end = match kind {
                0 => (Action::Read, Outcome::Read(state.clone())),
                1 => {
                    state = a.clone();
                    let seen = if late > 30 { Outcome::Unknown } else { Outcome::Done };
                    (Action::Write(a), seen)
                }
                _ if state == a => {
                    state = b.clone();
                    (Action::Cas { expect: a, new: b }, Outcome::Done)
                }
                _ => (Action::Cas { expect: a, new: b }, Outcome::Mismatch),
            };
            done.push((at - early, at + late, end));
        }
        let found = linearizable(&history(done), DEFAULT_BUDGET);
        prop_assert!(found.is_ok(), "{:?}", found);
    }
}
