use crate::fixture::*;
use crate::store::*;
use weft_proto::CommandId;
use weft_proto::command::*;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::*;
use weft_proto::time::Timestamp;

fn command(id: u128, changes: Vec<Change>) -> Command {
    Command {
        id: CommandId::from_entropy(id),
        at: Timestamp::from_millis(5),
        changes,
        actor: None,
    }
}

fn refused(state: &State, changes: Vec<Change>) -> Conflict {
    let applied = apply(state, 9, &command(99, changes));
    assert!(applied.changed.is_empty());
    assert_eq!(applied.state.revision(), 9);
    assert_eq!(
        applied.state.to_snapshot().objects,
        state.to_snapshot().objects
    );
    applied.result.unwrap_err()
}

#[test]
fn a_transaction_applies_as_a_whole_or_not_at_all() {
    let start = state(vec![network(1).into()]);
    let conflict = refused(
        &start,
        vec![Change::create(network(2)), Change::create(network(1))],
    );
    assert_eq!(conflict.kind, ConflictKind::Exists);
}

#[test]
fn an_object_that_changed_since_it_was_read_is_not_overwritten() {
    let start = state(vec![service(1, 1).into()]);
    let read = Service::clone(start.service(service_id(1)).unwrap());
    let next = apply(&start, 2, &command(1, vec![Change::update(read.clone())])).state;
    assert_eq!(next.service(read.id).unwrap().meta.version, 2);
    assert_eq!(
        refused(&next, vec![Change::update(read)]).kind,
        ConflictKind::Version
    );
}

#[test]
fn creation_time_survives_updates() {
    let start = state(vec![service(1, 1).into()]);
    let read = Service::clone(start.service(service_id(1)).unwrap());
    let next = apply(&start, 2, &command(1, vec![Change::update(read)])).state;
    let meta = next.service(service_id(1)).unwrap().meta;
    assert_eq!(meta.created_at, Timestamp::from_millis(0));
    assert_eq!(meta.updated_at, Timestamp::from_millis(5));
}

#[test]
fn a_command_that_comes_twice_is_applied_once() {
    let start = state(vec![]);
    let once = command(1, vec![Change::create(network(1))]);
    let first = apply(&start, 2, &once);
    assert_eq!(first.result, Ok(2));
    let second = apply(&first.state, 3, &once);
    assert_eq!(second.result, Ok(2));
    assert!(second.changed.is_empty());
    assert_eq!(second.state.revision(), 3);
}

#[test]
fn a_published_port_belongs_to_one_service_and_the_refusal_names_it() {
    let with_port = |n| {
        let mut service = service(n, 1);
        service.ports = vec![Port {
            protocol: Protocol::Tcp,
            target: 80,
            published: Some(8080),
        }];
        service
    };
    let start = state(vec![with_port(1).into()]);
    let conflict = refused(&start, vec![Change::create(with_port(2))]);
    assert_eq!(conflict.kind, ConflictKind::Taken);
    assert_eq!(conflict.message, "port 8080/tcp belongs to service svc1");
}

#[test]
fn names_are_free_again_once_their_object_is_gone() {
    let start = state(vec![service(1, 1).into()]);
    let mut twin = service(2, 1);
    twin.spec.name = name("svc1");
    let gone = Service::clone(start.service(service_id(1)).unwrap());
    let next = apply(
        &start,
        2,
        &command(1, vec![Change::remove(gone), Change::create(twin)]),
    );
    assert_eq!(next.result, Ok(2));
}

#[test]
fn overlapping_subnets_are_refused_with_the_other_network_named() {
    let start = state(vec![network(1).into()]);
    let mut wide = network(2);
    wide.subnet = "10.0.0.0/16".parse().unwrap();
    let conflict = refused(&start, vec![Change::create(wide)]);
    assert_eq!(
        conflict.message,
        "subnet 10.0.0.0/16 overlaps 10.0.1.0/24 of network net1"
    );
}

#[test]
fn a_network_in_use_stays() {
    let mut user = service(1, 1);
    user.spec.task.networks = vec![NetworkRef {
        id: network_id(1),
        aliases: vec![],
    }];
    let start = state(vec![network(1).into(), user.into()]);
    let read = Network::clone(start.network(network_id(1)).unwrap());
    assert_eq!(
        refused(&start, vec![Change::remove(read)]).message,
        "it is used by service svc1"
    );
}

#[test]
fn a_task_never_goes_back_and_gives_its_address_free_when_it_ends() {
    let web = service(1, 1);
    let addr = "10.0.1.5".parse().unwrap();
    let mut first = task(1, &web).state(TaskState::Running);
    first.addresses.insert(network_id(1), addr);
    let start = state(vec![web.clone().into(), first.into()]);
    let mut second = task(2, &web);
    second.addresses.insert(network_id(1), addr);
    assert_eq!(
        refused(&start, vec![Change::create(second.clone())]).message,
        "address 10.0.1.5 belongs to task svc1.1"
    );

    let read = Task::clone(start.task(task_id(1)).unwrap());
    let back = read.clone().state(TaskState::Starting);
    assert_eq!(
        refused(&start, vec![Change::update(back)]).kind,
        ConflictKind::Invalid
    );
    let ended = read.state(TaskState::Failed);
    let changes = vec![Change::update(ended), Change::create(second)];
    assert_eq!(apply(&start, 2, &command(1, changes)).result, Ok(2));
}

#[test]
fn tasks_are_found_by_service_and_node() {
    let (web, db, n1) = (service(1, 2), service(2, 1), node(1));
    let start = state(vec![
        web.clone().into(),
        task(1, &web).into(),
        task(2, &web).slot(2).on(&n1).into(),
        task(3, &db).on(&n1).into(),
    ]);
    assert_eq!(
        start
            .tasks_of_service(web.id)
            .map(|t| t.id)
            .collect::<Vec<_>>(),
        [task_id(1), task_id(2)]
    );
    assert_eq!(
        start.tasks_of_node(n1.id).map(|t| t.id).collect::<Vec<_>>(),
        [task_id(2), task_id(3)]
    );
}

#[test]
fn a_snapshot_holds_everything_a_replica_needs() {
    let web = service(1, 2);
    let start = state(vec![
        cluster().into(),
        node(1).into(),
        network(1).into(),
        web.clone().into(),
        task(1, &web).on(&node(1)).into(),
    ]);
    let restored = State::from_snapshot(start.to_snapshot());
    assert_eq!(restored.to_snapshot(), start.to_snapshot());
    assert_eq!(restored.tasks_of_node(node_id(1)).count(), 1);
    let again = command(7, vec![]);
    assert_eq!(
        apply(&restored, 2, &again).result,
        Ok(1),
        "remembers applied commands"
    );
}

#[tokio::test]
async fn watchers_get_every_change_in_order_or_are_told_that_they_lag() {
    let store = Store::default();
    for n in 1..=3u8 {
        store
            .apply(
                u64::from(n),
                &command(u128::from(n), vec![Change::create(network(n))]),
            )
            .unwrap();
    }
    store.advance(4);
    let revisions: Vec<u64> = store
        .changes_since(1)
        .unwrap()
        .iter()
        .map(|set| set.revision)
        .collect();
    assert_eq!(revisions, [2, 3]);
    assert_eq!(store.wait_for(4).await.revision(), 4);
    store.restore(State::from_snapshot(store.view().to_snapshot()));
    assert_eq!(store.changes_since(3), Err(Lagged(3)));
    assert_eq!(store.changes_since(4), Ok(vec![]));
}

#[test]
fn a_removed_node_is_remembered_across_snapshots_and_its_addresses_rest() {
    let objects = vec![cluster().into(), node(1).into(), network(1).into()];
    let mut world = state(objects);
    let addr: std::net::IpAddr = "10.0.1.9".parse().unwrap();
    let mut live = task(1, &service(1, 1))
        .on(&node(1))
        .state(TaskState::Running);
    live.addresses.insert(network_id(1), addr);
    world = apply(&world, 100, &command(100, vec![Change::create(live)])).state;
    let gone = Node::clone(world.node(node_id(1)).unwrap());
    let removed = apply(&world, 101, &command(101, vec![Change::remove(gone)]));
    removed.result.unwrap();
    for world in [
        removed.state.clone(),
        State::from_snapshot(removed.state.to_snapshot()),
    ] {
        let known = world.removed_node(node_id(1)).unwrap();
        assert_eq!(known.hostname, "n1");
        assert_eq!(known.at, Timestamp::from_millis(5));
        assert!(world.is_resting(network_id(1), addr));
        let back = apply(&world, 102, &command(102, vec![Change::create(node(1))])).state;
        assert!(back.removed_node(node_id(1)).is_none());
        assert!(!back.is_resting(network_id(1), addr));
    }
}
