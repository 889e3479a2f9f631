use crate::allocator::*;
use crate::fixture::*;
use crate::store::State;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_proto::command::Change;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

fn attached(n: u8) -> Service {
    let mut service = service(n, 1);
    service.spec.task.networks = vec![NetworkRef {
        id: network_id(1),
        aliases: vec![],
    }];
    service
}

fn put(change: &Change) -> &Task {
    match change {
        Change::Put {
            object: Object::Task(task),
            ..
        } => task,
        other @ (Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. }) => {
            panic!("{other:?}")
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(10)
}

#[test]
fn new_tasks_get_different_addresses_and_wait_for_a_node() {
    let web = attached(1);
    let state = state(vec![
        network(1).into(),
        web.clone().into(),
        task(1, &web).into(),
        task(2, &web).slot(2).into(),
    ]);
    let changes = plan(&state, now());
    let addresses: BTreeSet<IpAddr> = changes
        .iter()
        .map(|change| put(change).addresses[&network_id(1)])
        .collect();
    assert_eq!(
        addresses,
        BTreeSet::from(["10.0.1.2".parse().unwrap(), "10.0.1.3".parse().unwrap()])
    );
    assert!(
        changes
            .iter()
            .all(|change| put(change).status.state == TaskState::Pending)
    );
}

#[test]
fn an_address_rests_until_the_subnet_comes_round() {
    let web = attached(1);
    let mut last = task(1, &web).state(TaskState::Running);
    last.addresses
        .insert(network_id(1), "10.0.1.254".parse().unwrap());
    let state = state(vec![network(1).into(), web.into(), last.into()]);
    let chosen = choose_address(&state, &network(1), &BTreeSet::new());
    assert_eq!(chosen, Ok("10.0.1.2".parse().unwrap()));
}

#[test]
fn a_full_network_is_the_reason_that_the_task_shows() {
    let web = attached(1);
    let mut small = network(1);
    small.subnet = "10.0.1.0/30".parse().unwrap();
    let mut first = task(1, &web).state(TaskState::Running);
    first
        .addresses
        .insert(network_id(1), "10.0.1.2".parse().unwrap());
    let start = state(vec![
        small.into(),
        web.clone().into(),
        first.into(),
        task(2, &web).slot(2).into(),
    ]);
    let changes = plan(&start, now());
    let waiting = put(&changes[0]);
    assert_eq!(waiting.status.state, TaskState::New);
    assert!(
        waiting.status.message.contains("no free address left"),
        "{}",
        waiting.status.message
    );
    let command = weft_proto::command::Command {
        id: weft_proto::CommandId::from_entropy(1),
        at: now(),
        changes,
        actor: None,
    };
    let next = crate::store::apply(&start, 2, &command).state;
    assert_eq!(plan(&next, now()), vec![], "the reason is written once");
}

#[test]
fn subnets_avoid_networks_nodes_and_the_ingress_pool() {
    let mut near = node(1);
    near.data_addr = "10.0.2.9".parse().unwrap();
    let mut cluster = cluster();
    cluster.settings.address_pools = vec!["10.0.0.0/22".parse().unwrap()];
    let base = vec![Object::from(cluster), near.into(), network(1).into()];
    assert_eq!(
        choose_subnet(&state(base.clone()), None),
        Ok("10.0.3.0/24".parse().unwrap())
    );

    let mut third = network(3);
    third.subnet = "10.0.3.0/24".parse().unwrap();
    let full: State = state([base.clone(), vec![third.into()]].concat());
    assert_eq!(
        choose_subnet(&full, None),
        Err(AllocateError::Subnets { prefix: 24 })
    );

    let asked = |text: &str| choose_subnet(&full, Some(text.parse().unwrap()));
    assert!(matches!(
        asked("10.0.2.0/24"),
        Err(AllocateError::SubnetHoldsNode { .. })
    ));
    assert!(matches!(
        asked("10.255.9.0/24"),
        Err(AllocateError::SubnetInIngress { .. })
    ));
    assert!(asked("172.20.0.0/16").is_ok());
}

#[test]
fn automatic_ports_skip_what_is_taken_and_stay_when_the_service_changes() {
    let port = |target, published| Port {
        protocol: Protocol::Tcp,
        target,
        published,
    };
    let mut other = service(1, 1);
    other.ports = vec![port(80, Some(30000))];
    let state = state(vec![other.into()]);
    let asked = [port(80, None), port(81, Some(30001)), port(82, None)];
    let chosen = choose_ports(&state, service_id(2), &asked, &[]).unwrap();
    let numbers: BTreeSet<_> = chosen.iter().map(|p| (p.target, p.published)).collect();
    assert_eq!(
        numbers,
        BTreeSet::from([(80, Some(30002)), (81, Some(30001)), (82, Some(30003))])
    );
    let kept = choose_ports(
        &state,
        service_id(2),
        &[port(80, None)],
        &[port(80, Some(31000))],
    );
    assert_eq!(kept.unwrap(), [port(80, Some(31000))]);
    assert_eq!(
        choose_ports(&state, service_id(2), &[port(1, Some(30000))], &[])
            .unwrap_err()
            .to_string(),
        "port 30000/tcp is published by service svc1 already: choose another one or remove it there"
    );
}

#[test]
fn node_numbers_and_vnis_are_the_lowest_free_ones() {
    let state = state(vec![
        cluster().into(),
        node(1).into(),
        node(3).into(),
        network(1).into(),
    ]);
    assert_eq!(choose_node_number(&state).unwrap().get(), 2);
    assert_eq!(choose_vni(&state).unwrap().get(), 4098);
}
