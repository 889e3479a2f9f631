//! What watchers must not be sent.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;
use weft_history::Change;
use weft_history::Ledger;
use weft_history::Recording;
use weft_history::Seen;
use weft_history::Stream;
use weft_history::StreamProblem;
use weft_history::WatcherId;
use weft_history::check_stream;

const ME: WatcherId = WatcherId(1);

fn put(key: &str, value: &str) -> Change {
    Change {
        key: key.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn removed(key: &str) -> Change {
    Change {
        key: key.to_owned(),
        value: None,
    }
}

/// Revision 4 changed nothing.
fn truth() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.enter(2, vec![put("a", "1")]).unwrap();
    ledger.enter(3, vec![put("b", "1"), put("a", "2")]).unwrap();
    ledger.enter(4, vec![]).unwrap();
    ledger.enter(5, vec![removed("a")]).unwrap();
    ledger.enter(7, vec![put("c", "1")]).unwrap();
    ledger
}

fn told(revision: u64) -> Seen {
    Seen::Changes {
        revision,
        changes: truth().at(revision).unwrap().to_vec(),
    }
}

fn snapshot(revision: u64, state: &[(&str, &str)]) -> Seen {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Seen::Snapshot {
        revision,
        state: state.iter().map(pair).collect::<BTreeMap<_, _>>(),
    }
}

const fn began(after: u64) -> Seen {
    Seen::Began { after }
}

fn check(seen: Vec<Seen>) -> Result<u64, StreamProblem> {
    check_stream(&Stream { watcher: ME, seen }, &truth())
}

#[test]
fn the_whole_history_in_order_is_accepted() {
    let seen = vec![began(0), told(2), told(3), told(5), told(7)];
    assert_eq!(check(seen), Ok(7));
}

#[test]
fn a_stream_may_be_behind_and_may_begin_anywhere() {
    assert_eq!(check(vec![began(3), told(5)]), Ok(5));
    assert_eq!(check(vec![began(3), Seen::Progress { revision: 4 }]), Ok(4));
}

#[test]
fn a_break_is_resumed_where_it_was_or_by_a_snapshot() {
    assert_eq!(check(vec![began(0), told(2), began(2), told(3)]), Ok(3));
    let jump = snapshot(5, &[("b", "1")]);
    assert_eq!(
        check(vec![began(0), told(2), began(2), jump, told(7)]),
        Ok(7)
    );
    assert_eq!(
        check(vec![began(2), told(3), began(2), told(3)]),
        Ok(3),
        "asked for again"
    );
}

#[test]
fn a_revision_left_out_is_found() {
    let gap = StreamProblem::Gap {
        watcher: ME,
        missing: 3,
        revision: 5,
    };
    assert_eq!(check(vec![began(0), told(2), told(5)]), Err(gap));
    let hidden = check(vec![began(3), Seen::Progress { revision: 5 }]);
    assert!(matches!(hidden, Err(StreamProblem::Gap { missing: 5, .. })));
    let ahead = check(vec![began(0), told(2), began(3), told(5)]);
    assert!(matches!(
        ahead,
        Err(StreamProblem::ResumedAhead { after: 3, .. })
    ));
}

#[test]
fn a_revision_told_twice_is_found() {
    let twice = check(vec![began(0), told(2), told(2)]);
    assert!(matches!(
        twice,
        Err(StreamProblem::Duplicate { revision: 2, .. })
    ));
    let again = check(vec![began(2), told(3), began(3), told(3)]);
    assert!(matches!(
        again,
        Err(StreamProblem::OutOfOrder { revision: 3, .. })
    ));
}

#[test]
fn revisions_in_the_wrong_order_are_found() {
    let back = check(vec![began(3), told(5), told(3)]);
    assert!(matches!(
        back,
        Err(StreamProblem::OutOfOrder {
            revision: 3,
            position: 5,
            ..
        })
    ));
    let old = check(vec![began(5), snapshot(3, &[("a", "2"), ("b", "1")])]);
    assert!(matches!(old, Err(StreamProblem::OutOfOrder { .. })));
}

#[test]
fn changes_that_never_happened_or_are_incomplete_are_found() {
    let invented = Seen::Changes {
        revision: 4,
        changes: vec![put("z", "1")],
    };
    let found = check(vec![began(3), invented]);
    assert!(matches!(
        found,
        Err(StreamProblem::Differs { revision: 4, .. })
    ));
    let half = Seen::Changes {
        revision: 3,
        changes: vec![put("b", "1")],
    };
    let found = check(vec![began(2), half]);
    assert!(matches!(
        found,
        Err(StreamProblem::Differs { revision: 3, .. })
    ));
}

#[test]
fn a_snapshot_of_another_state_is_found() {
    let stale = check(vec![began(0), snapshot(5, &[("a", "2"), ("b", "1")])]);
    assert!(matches!(stale, Err(StreamProblem::SnapshotDiffers { key, .. }) if key == "a"));
    let poor = check(vec![began(0), snapshot(7, &[("c", "1")])]);
    assert!(matches!(poor, Err(StreamProblem::SnapshotDiffers { key, .. }) if key == "b"));
}

#[test]
fn being_told_before_having_begun_is_found() {
    assert!(matches!(
        check(vec![told(2)]),
        Err(StreamProblem::NotBegun { .. })
    ));
}

#[test]
fn watchers_together_show_what_one_of_them_missed() {
    let whole = Stream {
        watcher: WatcherId(1),
        seen: vec![began(0), told(2), told(3)],
    };
    let holey = Stream {
        watcher: WatcherId(2),
        seen: vec![began(0), told(3)],
    };
    let ledger = Ledger::of_streams([&whole, &holey]).unwrap();
    assert_eq!(check_stream(&whole, &ledger), Ok(3));
    let found = check_stream(&holey, &ledger);
    assert!(matches!(found, Err(StreamProblem::Gap { missing: 2, .. })));
    let liar = Stream {
        watcher: WatcherId(3),
        seen: vec![Seen::Changes {
            revision: 2,
            changes: vec![put("a", "9")],
        }],
    };
    let found = Ledger::of_streams([&whole, &liar]);
    assert!(matches!(
        found,
        Err(StreamProblem::Differs { revision: 2, .. })
    ));
}

#[test]
fn streams_are_written_down_and_read_back() {
    let stream = Stream {
        watcher: ME,
        seen: vec![
            began(0),
            snapshot(3, &[("a", "2"), ("b", "1")]),
            told(5),
            Seen::Progress { revision: 6 },
        ],
    };
    let recording = Recording {
        streams: vec![stream],
        ..Recording::default()
    };
    let mut lines = Vec::new();
    recording.write(&mut lines).unwrap();
    let back = Recording::read(lines.as_slice()).unwrap();
    assert_eq!(back, recording);
    assert_eq!(check_stream(&back.streams[0], &truth()), Ok(6));
}
