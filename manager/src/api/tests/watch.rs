use super::*;
use std::time::Duration;
use weft_proto::command::Change;
use weft_proto::wire::watch_event::Kind as Event;
use weft_proto::wire::watch_step::Kind as Step;

type Events = BoxStream<'static, Result<wire::WatchEvent, Status>>;

async fn watch(house: &House, since: u64, kinds: &[wire::ObjectKind]) -> Events {
    let request = wire::WatchRequest {
        since_revision: since,
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
    };
    let answer = house.control.watch(Request::new(request)).await;
    answer.unwrap().into_inner()
}

async fn next(events: &mut Events) -> Event {
    events.next().await.unwrap().unwrap().kind.unwrap()
}

async fn change(events: &mut Events) -> wire::WatchChange {
    let event = next(events).await;
    let Event::Change(change) = event else {
        panic!("no change: {event:?}");
    };
    change
}

fn relabel(house: &House, label: &str) {
    let view = house.fake.view();
    let mut network = view
        .network(fixture::network_id(1))
        .unwrap()
        .as_ref()
        .clone();
    let value = label.to_owned();
    network.spec.labels.insert("l".to_owned(), value);
    house.fake.write(vec![Change::update(network)]);
}

#[tokio::test]
async fn a_watcher_sees_all_there_is_and_then_each_version_of_each_object_once() {
    let house = house(vec![fixture::network(1).into()]);
    let mut events = watch(&house, 0, &[]).await;
    let Event::Snapshot(snapshot) = next(&mut events).await else {
        panic!("no snapshot");
    };
    assert_eq!((snapshot.revision, snapshot.objects.len()), (1, 2));
    assert!(snapshot.last);
    // All of this happens before the watcher looks again.
    for label in ["a", "b", "c"] {
        relabel(&house, label);
    }
    house.fake.write(vec![Change::remove(
        house
            .fake
            .view()
            .network(fixture::network_id(1))
            .unwrap()
            .as_ref()
            .clone(),
    )]);
    for (label, revision) in [("a", 2), ("b", 3), ("c", 4)] {
        let change = change(&mut events).await;
        assert_eq!((change.revision, change.previous), (revision, revision - 1));
        let Some(Step::Put(object)) = change.steps[0].kind.clone() else {
            panic!("no put");
        };
        let Some(wire::object::Kind::Network(network)) = object.kind else {
            panic!("no network");
        };
        assert_eq!(network.meta.unwrap().version, revision);
        assert_eq!(network.spec.unwrap().labels[0].value, label);
    }
    let last = change(&mut events).await;
    assert_eq!(last.at_ms, 5_000);
    let Some(Step::Deleted(gone)) = &last.steps[0].kind else {
        panic!("not deleted: {last:?}");
    };
    let name = fixture::network(1).spec.name;
    assert_eq!(gone.name, name.to_string());
}

#[tokio::test]
async fn a_watcher_resumes_where_another_one_ended() {
    let house = house(vec![fixture::network(1).into()]);
    for label in ["a", "b", "c"] {
        relabel(&house, label);
    }
    let mut events = watch(&house, 2, &[]).await;
    assert_eq!(change(&mut events).await.revision, 3);
    assert_eq!(change(&mut events).await.revision, 4);
    relabel(&house, "d");
    assert_eq!(change(&mut events).await.revision, 5);
}

#[tokio::test]
async fn secrets_stay_where_they_are() {
    let house = house(Vec::new());
    let mut events = watch(&house, 0, &[wire::ObjectKind::Cluster]).await;
    let Event::Snapshot(snapshot) = next(&mut events).await else {
        panic!("no snapshot");
    };
    let text = format!("{snapshot:?}");
    let mut cluster = fixture::cluster();
    assert!(text.contains(&cluster.id.to_string()));
    cluster.meta = house.fake.view().cluster().unwrap().meta;
    cluster.next_raft_id = 9;
    house.fake.write(vec![Change::update(cluster)]);
    let text = format!("{text} {:?}", change(&mut events).await);
    let shown = wire::Cluster::from(&fixture::cluster());
    for secret in ["root_key_pem", "worker_token", "manager_token"] {
        assert!(
            text.contains(&format!("{secret}: \"\"")),
            "{secret}: {text}"
        );
    }
    assert!(
        !shown.root_key_pem.is_empty(),
        "the fixture has a secret to show"
    );
}

#[tokio::test]
async fn only_the_kinds_asked_for_are_told() {
    let house = house(vec![
        fixture::network(1).into(),
        fixture::service(1, 1).into(),
    ]);
    let mut events = watch(&house, 0, &[wire::ObjectKind::Network]).await;
    let Event::Snapshot(snapshot) = next(&mut events).await else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.objects.len(), 1);
    house.fake.write(vec![Change::create(fixture::node(7))]);
    relabel(&house, "a");
    let change = change(&mut events).await;
    assert_eq!((change.previous, change.revision), (1, 3));
    let request = wire::WatchRequest {
        kinds: vec![77],
        ..wire::WatchRequest::default()
    };
    let refusal = house.control.watch(Request::new(request)).await;
    refused(refusal.map(|_| ()), Code::InvalidArgument, &["kind 77"]);
}

#[tokio::test]
async fn who_falls_out_of_the_history_is_told_and_gets_a_new_snapshot() {
    let house = house(vec![fixture::network(1).into()]);
    let mut events = watch(&house, 0, &[]).await;
    assert!(matches!(next(&mut events).await, Event::Snapshot(_)));
    for n in 0..4200 {
        relabel(&house, &n.to_string());
    }
    let Event::Resync(resync) = next(&mut events).await else {
        panic!("no resync");
    };
    assert_eq!(resync.since_revision, 1);
    let Event::Snapshot(snapshot) = next(&mut events).await else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.revision, 4201);
    relabel(&house, "after");
    assert_eq!(change(&mut events).await.revision, 4202);
}

#[tokio::test]
async fn an_idle_watcher_learns_the_revision() {
    let house = house(vec![fixture::network(1).into()]);
    let mut events = watch(&house, 0, &[wire::ObjectKind::Task]).await;
    assert!(matches!(next(&mut events).await, Event::Snapshot(_)));
    relabel(&house, "a");
    let Event::Progress(progress) = next(&mut events).await else {
        panic!("no progress");
    };
    assert_eq!(progress.revision, 2);
}

#[tokio::test]
async fn a_revision_that_never_was_is_answered_by_everything_anew() {
    let house = house(vec![fixture::network(1).into()]);
    let mut events = watch(&house, 900, &[]).await;
    let Event::Resync(resync) = next(&mut events).await else {
        panic!("no resync");
    };
    assert!(resync.reason.contains("never at 900"), "{resync:?}");
    assert!(matches!(next(&mut events).await, Event::Snapshot(_)));
}

/// A manager that starts has a state that is behind its own log until it hears from a leader. With
/// no majority for longer than the patience, it gave watchers that state: they went back in time.
#[tokio::test]
async fn a_manager_that_hears_nobody_tells_a_watcher_nothing_of_the_past() {
    let house = house(vec![fixture::network(1).into()]);
    house.fake.cut_off(true);
    let mut events = watch(&house, 2, &[]).await;
    while house.fake.fresh_reads() < 2 {
        let told = tokio::time::timeout(Duration::from_millis(20), next(&mut events)).await;
        assert!(told.is_err(), "{told:?}");
    }
    house.fake.cut_off(false);
    relabel(&house, "known");
    relabel(&house, "news");
    assert_eq!(change(&mut events).await.revision, 3);
}

#[tokio::test]
async fn a_large_state_comes_in_portions() {
    let objects = (1..=250u16).map(|n| {
        let mut node = fixture::node(n);
        node.status.message = "x".repeat(4096);
        Object::Node(node)
    });
    let house = house(objects.collect());
    let mut events = watch(&house, 0, &[]).await;
    let (mut portions, mut objects) = (0, 0);
    loop {
        let Event::Snapshot(snapshot) = next(&mut events).await else {
            panic!("no snapshot");
        };
        portions += 1;
        objects += snapshot.objects.len();
        if snapshot.last {
            break;
        }
    }
    assert_eq!(objects, 251);
    assert!(portions >= 4, "{portions}");
}

#[tokio::test]
async fn the_hash_of_a_state_names_its_revision_and_its_manager() {
    let house = house(vec![fixture::network(1).into()]);
    let hash = |revision| {
        let request = wire::StateHashRequest { revision };
        house.control.state_hash(Request::new(request))
    };
    let first = hash(0).await.unwrap().into_inner();
    assert_eq!((first.revision, first.sha256.len()), (1, 64));
    assert_eq!(first.node_id, fixture::node_id(1).to_string());
    relabel(&house, "a");
    let second = hash(2).await.unwrap().into_inner();
    assert_ne!(first.sha256, second.sha256);
    refused(hash(9).await, Code::Unavailable, &["revision 2", "to 9"]);
}
