//! What an agent is told next.

use crate::dispatcher::feed::Feed;
use crate::fixture::*;
use crate::store::ChangeSet;
use crate::store::View;
use std::sync::Arc;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::task_state::TaskState;

fn view(objects: Vec<Object>, revision: u64) -> View {
    let mut state = state(objects);
    state = crate::store::State::from_snapshot(weft_proto::command::StoreSnapshot {
        revision,
        ..state.to_snapshot()
    });
    Arc::new(state)
}

fn set(revision: u64, key: ObjectKey) -> Arc<ChangeSet> {
    Arc::new(ChangeSet {
        revision,
        changed: vec![key],
    })
}

#[test]
fn a_task_that_waits_for_a_node_is_no_reason_to_look_closer() {
    let base = vec![Object::from(cluster()), node(1).into()];
    let (mut feed, snapshot) = Feed::begin(node_id(1), view(base.clone(), 5));
    assert!(snapshot.snapshot);
    assert_eq!(snapshot.revision, 5);
    let waiting = task(7, &service(1, 1)).state(TaskState::Pending);
    // Were it looked at closer, the node that came with it would be told.
    let later = [base, vec![waiting.into(), node(2).into()]].concat();
    let changed = [set(6, ObjectKey::Task(task_id(7)))];
    assert_eq!(feed.look(view(later, 6), Some(&changed), false), None);
    assert_eq!((feed.seen(), feed.told()), (6, 5));
}

#[test]
fn an_agent_hears_of_progress_even_when_nothing_is_new_for_it() {
    let base = vec![Object::from(cluster()), node(1).into()];
    let (mut feed, _) = Feed::begin(node_id(1), view(base.clone(), 5));
    assert_eq!(feed.look(view(base.clone(), 8), Some(&[]), false), None);
    let delta = feed.look(view(base.clone(), 9), Some(&[]), true).unwrap();
    assert_eq!(delta.revision, 9);
    assert!(!delta.snapshot && delta.upserts.is_empty() && delta.removals.is_empty());
    assert_eq!(feed.look(view(base, 9), Some(&[]), true), None, "it knows");
}

#[test]
fn when_changes_are_no_longer_kept_everything_is_compared() {
    let base = vec![Object::from(cluster()), node(1).into()];
    let (mut feed, _) = Feed::begin(node_id(1), view(base.clone(), 5));
    let later = [base, vec![node(2).into()]].concat();
    let delta = feed.look(view(later, 9000), None, false).unwrap();
    assert_eq!(delta.upserts.len(), 1);
    assert!(!delta.snapshot);
}
