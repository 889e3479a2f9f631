//! Who is told what.

use crate::dispatcher::assignments_for;
use crate::dispatcher::diff;
use crate::fixture::*;
use crate::store::State;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::PublishedRecord;
use weft_proto::assignment::ServiceRecord;
use weft_proto::object::*;
use weft_proto::spec::NetworkRef;
use weft_proto::spec::Port;
use weft_proto::spec::Protocol;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

/// A service on networks, with an alias, a virtual address on each, and port 8080 published.
fn service_on(n: u8, networks: &[u8]) -> Service {
    let mut service = service(n, 1);
    for network in networks {
        let id = network_id(u128::from(*network));
        let aliases = vec![name(&format!("alias{n}"))];
        service.spec.task.networks.push(NetworkRef { id, aliases });
        let vip = IpAddr::V4(Ipv4Addr::new(10, 0, *network, 100 + n));
        service.vips.insert(id, vip);
    }
    service.ports = vec![Port {
        protocol: Protocol::Tcp,
        target: 80,
        published: Some(8080 + u16::from(n)),
    }];
    service
}

/// A task that runs, with an address on each network of its service.
fn running(n: u8, service: &Service, node: &Node) -> Task {
    let mut task = task(u128::from(n), service)
        .on(node)
        .state(TaskState::Running);
    for reference in &service.spec.task.networks {
        let (&network, vip) = service.vips.get_key_value(&reference.id).unwrap();
        let IpAddr::V4(vip) = vip else { unreachable!() };
        let [a, b, c, _] = vip.octets();
        let addr = IpAddr::V4(Ipv4Addr::new(a, b, c, n));
        task.addresses.insert(network, addr);
    }
    task.ingress_addr = Some(Ipv4Addr::new(10, 255, 1, n));
    task
}

/// Networks 1 and 2; node 1 runs task 11 of service 1 on network 1, node 2 runs task 12 of it and
/// task 13 of service 2 on network 2; node 3 runs nothing.
fn world() -> Vec<Object> {
    let (n1, n2, n3) = (node(1), node(2), node(3));
    let (one, two) = (service_on(1, &[1]), service_on(2, &[2]));
    let (t1, t2, t3) = (
        running(11, &one, &n1),
        running(12, &one, &n2).slot(2),
        running(13, &two, &n2),
    );
    let networks = [network(1), network(2)].map(Object::from);
    let nodes = [n1, n2, n3].map(Object::from);
    let services = [one, two].map(Object::from);
    let tasks = [t1, t2, t3].map(Object::from);
    [Object::from(cluster())]
        .into_iter()
        .chain(networks)
        .chain(nodes)
        .chain(services)
        .chain(tasks)
        .collect()
}

/// The same world after one object was changed.
fn world_with(change: impl Fn(&mut Object)) -> State {
    let mut objects = world();
    objects.iter_mut().for_each(change);
    state(objects)
}

fn keys(state: &State, node: u128) -> Vec<AssignmentKey> {
    assignments_for(state, node_id(node)).into_keys().collect()
}

fn endpoint(state: &State, seen_by: u128, task: u128) -> Option<EndpointRecord> {
    let key = AssignmentKey::Endpoint(network_id(1), task_id(task));
    let record = assignments_for(state, node_id(seen_by)).remove(&key)?;
    let Assignment::Endpoint(endpoint) = record else {
        panic!("{record:?} has the key of an endpoint");
    };
    Some(endpoint)
}

fn published(state: &State, port: u16) -> PublishedRecord {
    let key = AssignmentKey::Published(Protocol::Tcp, port);
    match assignments_for(state, node_id(3)).remove(&key) {
        Some(Assignment::Published(published)) => published,
        other => panic!("port {port} is {other:?}"),
    }
}

const MESH: [AssignmentKey; 2] = [
    AssignmentKey::Published(Protocol::Tcp, 8081),
    AssignmentKey::Published(Protocol::Tcp, 8082),
];

fn peers() -> impl Iterator<Item = AssignmentKey> {
    (1..=3).map(|n| AssignmentKey::Peer(node_id(n)))
}

#[test]
fn a_node_sees_its_networks_and_nothing_of_others() {
    let state = state(world());
    let own = [
        AssignmentKey::Task(task_id(11)),
        AssignmentKey::Network(network_id(1)),
        AssignmentKey::Endpoint(network_id(1), task_id(11)),
        AssignmentKey::Endpoint(network_id(1), task_id(12)),
        AssignmentKey::Service(network_id(1), service_id(1)),
    ];
    let expected: Vec<_> = own.into_iter().chain(MESH).chain(peers()).collect();
    assert_eq!(keys(&state, 1), expected);
}

#[test]
fn a_node_without_tasks_sees_the_routing_mesh_only() {
    let expected: Vec<_> = MESH.into_iter().chain(peers()).collect();
    assert_eq!(keys(&state(world()), 3), expected);
}

#[test]
fn a_task_on_its_way_out_keeps_its_networks_until_it_has_ended() {
    let stopping = world_with(|object| {
        if let Object::Task(task) = object {
            task.desired = DesiredState::Remove;
        }
    });
    assert!(keys(&stopping, 1).contains(&AssignmentKey::Network(network_id(1))));
    let ended = world_with(|object| {
        if let Object::Task(task) = object
            && task.id == task_id(11)
        {
            task.status.state = TaskState::Failed;
        }
    });
    let mut expected = vec![AssignmentKey::Task(task_id(11))];
    expected.extend(MESH);
    expected.extend(peers());
    assert_eq!(
        keys(&ended, 1),
        expected,
        "the record stays, the network goes"
    );
    assert_eq!(
        endpoint(&ended, 2, 11),
        None,
        "nor is it an endpoint elsewhere"
    );
}

#[test]
fn a_service_is_known_by_name_aliases_and_virtual_address() {
    let key = AssignmentKey::Service(network_id(1), service_id(1));
    let record = assignments_for(&state(world()), node_id(1)).remove(&key);
    let expected = ServiceRecord {
        network: network_id(1),
        service: service_id(1),
        name: name("svc1"),
        aliases: vec![name("alias1")],
        vip: Some("10.0.1.101".parse().unwrap()),
    };
    assert_eq!(record, Some(Assignment::Service(expected)));
}

#[test]
fn an_endpoint_says_where_packets_for_it_go() {
    let seen = endpoint(&state(world()), 1, 12).unwrap();
    assert_eq!(seen.name, "svc1.2");
    assert_eq!(seen.addr.to_string(), "10.0.1.12");
    assert_eq!(seen.node, node_id(2));
    assert_eq!(seen.node_data_addr.to_string(), "192.0.2.2");
    assert!(seen.ready);
}

#[test]
fn only_a_task_that_runs_and_shall_run_on_a_node_in_reach_takes_connections() {
    type Break = fn(&mut Object);
    let breaks: [Break; 3] = [
        |object| {
            if let Object::Task(task) = object {
                task.status.state = TaskState::Starting;
            }
        },
        |object| {
            if let Object::Task(task) = object {
                task.desired = DesiredState::Shutdown;
            }
        },
        |object| {
            if let Object::Node(node) = object {
                node.status.state = NodeState::Down;
            }
        },
    ];
    for (n, broken) in breaks.into_iter().enumerate() {
        let state = world_with(broken);
        let seen = endpoint(&state, 1, 12).unwrap();
        assert!(
            !seen.ready,
            "case {n}: it is an endpoint still, but not ready"
        );
        assert_eq!(
            published(&state, 8081).backends,
            [],
            "case {n}: the port stays"
        );
    }
}

#[test]
fn a_published_port_leads_to_the_tasks_that_take_connections() {
    let record = published(&state(world()), 8081);
    assert_eq!(record.service_name, name("svc1"));
    let backends: Vec<_> = record
        .backends
        .iter()
        .map(|b| (b.task, b.addr.to_string(), b.port))
        .collect();
    let expected = [
        (task_id(11), "10.255.1.11".to_owned(), 80),
        (task_id(12), "10.255.1.12".to_owned(), 80),
    ];
    assert_eq!(backends, expected);
}

#[test]
fn a_removed_node_is_no_peer_and_its_tasks_are_no_endpoints() {
    let objects = world()
        .into_iter()
        .filter(|object| object.key() != ObjectKey::Node(node_id(2)))
        .collect();
    let state = state(objects);
    assert!(!keys(&state, 1).contains(&AssignmentKey::Peer(node_id(2))));
    assert_eq!(endpoint(&state, 1, 12), None);
    assert_eq!(published(&state, 8082).backends, []);
}

type Part = BTreeMap<AssignmentKey, Assignment>;

fn some_part() -> impl Strategy<Value = Part> {
    let running = prop::collection::vec(any::<[bool; 3]>(), 3);
    (running, 1u128..=3).prop_map(|(flags, node)| part_of(&flags, node_id(node)))
}

fn part_of(flags: &[[bool; 3]], node: NodeId) -> Part {
    let mut tasks = flags.iter();
    let mut objects = world();
    objects.retain_mut(|object| {
        let Object::Task(task) = object else {
            return true;
        };
        let [there, wanted, runs] = tasks.next().copied().unwrap_or_default();
        if !wanted {
            task.desired = DesiredState::Remove;
        }
        if !runs {
            task.status.state = TaskState::Failed;
        }
        there
    });
    assignments_for(&state(objects), node)
}

proptest! {
    #[test]
    fn whoever_applies_the_difference_knows_the_new_part(old in some_part(), new in some_part()) {
        let (upserts, removals) = diff(&old, &new);
        let mut told = old.clone();
        for key in &removals {
            prop_assert!(told.remove(key).is_some(), "{key:?} was never there");
        }
        for assignment in upserts {
            prop_assert_ne!(old.get(&assignment.key()), Some(&assignment), "no news");
            told.insert(assignment.key(), assignment);
        }
        prop_assert_eq!(told, new);
    }
}
