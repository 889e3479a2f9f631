//! Refusals of what managers and agents tell each other.

use crate::assignment::Assignments;
use crate::command::Change;
use crate::convert::arbitrary::network;
use crate::convert::arbitrary::node;
use crate::convert::arbitrary_log::task;
use crate::object::KeyRing;
use crate::object::Network;
use crate::object::Node;
use crate::object::Task;
use crate::wire;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// One value, the same in every run.
fn sample<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> T {
    let mut runner = TestRunner::deterministic();
    strategy.new_tree(&mut runner).unwrap().current()
}

#[test]
fn tasks_are_refused_in_words() {
    let said = |change: fn(&mut wire::Task)| {
        let mut wire = wire::Task::from(&sample(task()));
        change(&mut wire);
        Task::try_from(wire).unwrap_err().to_string()
    };
    assert_eq!(said(|t| t.status = None), "task.status: is missing");
    assert_eq!(
        said(|t| t.slot = 0),
        "task.slot: is 0: slots are counted from 1"
    );
    assert_eq!(
        said(|t| t.desired_state = 3),
        "task.desired_state: 3 is no desired state"
    );
    assert_eq!(
        said(|t| t.ingress_addr = "fd00::1".into()),
        "task.ingress_addr: \"fd00::1\" is no IPv4 address"
    );
    assert_eq!(
        said(|t| t.id = "x".into()),
        "task.id: \"x\" is not an identifier: it must be 25 characters out of 0-9 and a-z"
    );
    let id = "0".repeat(25);
    let address = |addr: &str| wire::TaskAddress {
        network_id: "0".repeat(25),
        addr: addr.into(),
    };
    let mut twice = wire::Task::from(&sample(task()));
    twice.addresses = vec![address("10.0.0.1"), address("10.0.0.2")];
    assert_eq!(
        Task::try_from(twice.clone()).unwrap_err().to_string(),
        format!("task.addresses[1]: network {id} has an address already")
    );
    twice.addresses = vec![address("here")];
    assert_eq!(
        Task::try_from(twice).unwrap_err().to_string(),
        "task.addresses[0].addr: \"here\" is no IP address"
    );
}

#[test]
fn numbers_and_addresses_of_nodes_and_networks_are_refused_in_words() {
    let mut wire = wire::Network::from(&sample(network()));
    wire.vni = 0;
    assert_eq!(
        Network::try_from(wire).unwrap_err().to_string(),
        "network.vni: 0 is no VXLAN network identifier: it must be 1 to 16777215"
    );
    let mut wire = wire::Node::from(&sample(node()));
    wire.number = 65_536;
    assert_eq!(
        Node::try_from(wire.clone()).unwrap_err().to_string(),
        "node.number: 65536 is no node number: use 1 to 65535"
    );
    wire.number = 1;
    wire.manager = Some(wire::ManagerStatus::default());
    assert_eq!(
        Node::try_from(wire).unwrap_err().to_string(),
        "node.manager.addr: \"\" is no address with a port: write it like 192.0.2.1:2377"
    );
}

#[test]
fn changes_and_assignments_are_refused_in_words() {
    let guard = wire::Guard {
        key: Some(wire::ObjectKey {
            kind: Some(wire::object_key::Kind::Cluster(true)),
        }),
        expect: None,
    };
    let change = wire::Change {
        kind: Some(wire::change::Kind::Guard(guard)),
    };
    assert_eq!(
        Change::try_from(change).unwrap_err().to_string(),
        "change.guard.expect: is missing"
    );
    let key = wire::assignment_key::Kind::Published(wire::PublishedKey {
        protocol: 0,
        port: 80,
    });
    let step = wire::Assignments {
        removals: vec![wire::AssignmentKey { kind: Some(key) }],
        ..Default::default()
    };
    assert_eq!(
        Assignments::try_from(step).unwrap_err().to_string(),
        "assignments.removals[0].published.protocol: is not said: use tcp or udp"
    );
}

#[test]
fn rings_of_keys_that_cannot_be_are_refused_in_words() {
    use crate::wire::key_epoch::Phase;
    let ring = |phases: &[Phase]| wire::KeyRing {
        meta: None,
        epochs: (1..)
            .zip(phases)
            .map(|(number, phase)| wire::KeyEpoch {
                number,
                key: vec![7; 32],
                phase: (*phase).into(),
                ..wire::KeyEpoch::default()
            })
            .collect(),
    };
    let read = |wire: wire::KeyRing| KeyRing::try_from(wire).map_err(|error| error.to_string());
    let (d, a, r) = (Phase::Distributing, Phase::Active, Phase::Retired);
    for good in [&[a][..], &[a, d], &[r, r, a], &[r, a, d]] {
        assert!(read(ring(good)).is_ok(), "{good:?}");
    }
    for bad in [&[][..], &[d], &[r], &[a, a], &[a, r], &[d, a], &[a, d, d]] {
        let refusal = read(ring(bad)).unwrap_err();
        assert!(
            refusal.starts_with("key_ring.epochs: are no key ring"),
            "{refusal}"
        );
    }
    let mut twice = ring(&[r, a]);
    twice.epochs[1].number = 1;
    assert!(read(twice).is_err());
    let mut short = ring(&[a]);
    short.epochs[0].key.pop();
    let refusal = read(short).unwrap_err();
    assert_eq!(refusal, "key_ring.epochs[0].key: has 31 bytes, not 32");
}
