use super::*;

const fn op(action: Action, outcome: Outcome, invoked: u64, returned: u64) -> Operation {
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

const fn seen(value: u64, version: u64) -> Seen {
    Seen { value, version }
}

fn read(value: u64, version: u64, from: u64, to: u64) -> Operation {
    op(Action::Read, Outcome::Read(seen(value, version)), from, to)
}

fn write(value: u64, from: u64, to: u64) -> Operation {
    op(Action::Write(value), Outcome::Done, from, to)
}

fn judged(operations: &[Operation], last: Seen) -> Vec<Breach> {
    judge(
        operations,
        Sightings::default(),
        &BTreeMap::from([(0, last)]),
    )
}

#[test]
fn an_honest_history_is_accepted() {
    let operations = [
        write(1, 0, 10),
        read(1, 5, 11, 12),
        op(
            Action::Swap {
                version: 5,
                expect: 1,
                value: 2,
            },
            Outcome::Done,
            13,
            14,
        ),
        op(Action::Write(3), Outcome::Unknown, 13, 20),
        read(2, 7, 15, 30),
        read(3, 9, 40, 50),
    ];
    assert_eq!(judged(&operations, seen(3, 9)), vec![]);
}

#[test]
fn an_unknown_write_may_come_long_after_it_was_given_up() {
    let late = op(Action::Write(1), Outcome::Unknown, 0, 1);
    let operations = [
        late,
        write(2, 10, 11),
        read(2, 5, 12, 13),
        read(1, 8, 20, 21),
    ];
    assert_eq!(judged(&operations, seen(1, 8)), vec![]);
}

#[test]
fn a_read_of_the_past_is_refused() {
    let operations = [
        write(1, 0, 1),
        write(2, 2, 3),
        read(2, 6, 4, 5),
        read(1, 5, 6, 7),
    ];
    let found = judged(&operations, seen(2, 6));
    assert!(matches!(found[..], [Breach::Backwards { .. }]), "{found:?}");
}

#[test]
fn an_acknowledged_write_that_is_gone_is_refused() {
    let operations = [write(1, 0, 1), write(2, 2, 3), read(2, 6, 4, 5)];
    let found = judged(&operations, seen(1, 5));
    assert!(
        found.iter().any(|b| matches!(b, Breach::Lost { .. })),
        "{found:?}"
    );
    let found = judge(&operations, Sightings::default(), &BTreeMap::new());
    assert_eq!(found.len(), 2, "both writes to a register that is gone");
}

#[test]
fn a_refused_write_that_took_effect_is_refused() {
    let operations = [
        op(Action::Write(1), Outcome::Failed, 0, 1),
        read(1, 5, 2, 3),
    ];
    let found = judged(&operations, seen(1, 5));
    assert!(matches!(found[..], [Breach::Refused(..)]), "{found:?}");
}

#[test]
fn a_value_with_two_versions_was_written_twice() {
    let operations = [write(1, 0, 1), read(1, 5, 2, 3), read(1, 6, 4, 5)];
    let found = judged(&operations, seen(1, 6));
    assert!(
        found.iter().any(|b| matches!(b, Breach::TwoStories(..))),
        "{found:?}"
    );
}

#[test]
fn a_swap_over_another_write_is_refused() {
    let swap = Action::Swap {
        version: 5,
        expect: 1,
        value: 3,
    };
    let operations = [
        write(1, 0, 1),
        write(2, 2, 3),
        op(swap, Outcome::Done, 4, 5),
        read(1, 5, 0, 9),
        read(2, 6, 0, 9),
        read(3, 7, 0, 9),
    ];
    let found = judged(&operations, seen(3, 7));
    assert!(matches!(found[..], [Breach::NoSwap { .. }]), "{found:?}");
}

#[test]
fn a_value_nobody_wrote_is_refused() {
    let found = judged(&[], seen(4, 7));
    assert!(matches!(found[..], [Breach::FromNowhere(..)]), "{found:?}");
}

#[test]
fn a_read_shows_all_registers_as_they_were_at_once() {
    let mut old = read(1, 5, 4, 5);
    old.revision = 6;
    let mut other = write(2, 0, 3);
    other.key = 1;
    let mut told = read(2, 7, 0, 9);
    told.key = 1;
    let last = BTreeMap::from([(0, seen(1, 5)), (1, seen(2, 7))]);
    let operations = [write(1, 0, 1), other, told, old];
    let found = judge(&operations, Sightings::default(), &last);
    assert!(
        matches!(found[..], [Breach::Backwards { .. }]),
        "a write to another register had ended at 7, and the read shows 6: {found:?}"
    );
}
