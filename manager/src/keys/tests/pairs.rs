//! Who is told which keys.

use crate::fixture::*;
use crate::keys::Tunnels;
use crate::keys::nodes_on;
use crate::keys::tests::*;
use crate::store::State;
use std::collections::BTreeSet;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::TunnelRecord;
use weft_proto::object::*;
use weft_proto::task_state::TaskState;

const A: KeyPhase = KeyPhase::Active;
const D: KeyPhase = KeyPhase::Distributing;

/// Nodes 1 and 2 on network 1, nodes 2 and 3 on network 2, both encrypted; nodes 1 and 4 on network
/// 3, which is not.
fn world(change: impl Fn(&mut Object)) -> State {
    let mut objects: Vec<Object> = vec![
        cluster().into(),
        key_ring(&[(1, A), (2, D)]).into(),
        encrypted(1).into(),
        encrypted(2).into(),
        network(3).into(),
        on(1, 1, &[1, 3]).into(),
        on(2, 2, &[1, 2]).into(),
        on(3, 3, &[2]).into(),
        on(4, 4, &[3]).into(),
    ];
    objects.extend((1..=4).map(|n| Object::from(keyed(n))));
    objects.iter_mut().for_each(change);
    state(objects)
}

fn told(state: &State, node: u128) -> Vec<TunnelRecord> {
    let tunnels = Tunnels::of(state, node_id(node));
    let tunnel = |piece: Assignment| match piece {
        Assignment::Tunnel(tunnel) => Some(tunnel),
        Assignment::Epochs(epochs) => {
            assert_eq!((epochs.active, epochs.newest), (1, 2));
            None
        }
        Assignment::Task(_)
        | Assignment::Network(_)
        | Assignment::Endpoint(_)
        | Assignment::Service(_)
        | Assignment::Published(_)
        | Assignment::Peer(_)
        | Assignment::Material(_) => panic!("no key: {piece:?}"),
    };
    let all: Vec<_> = tunnels.iter().flat_map(Tunnels::all).collect();
    all.into_iter().filter_map(tunnel).collect()
}

fn peers(state: &State, node: u128) -> Vec<NodeId> {
    told(state, node).iter().map(|tunnel| tunnel.node).collect()
}

#[test]
fn a_node_has_tunnels_to_those_it_shares_an_encrypted_network_with() {
    let state = world(|_| {});
    assert_eq!(peers(&state, 1), [node_id(2)]);
    assert_eq!(peers(&state, 2), [node_id(1), node_id(3)]);
    assert_eq!(peers(&state, 3), [node_id(2)]);
    assert!(Tunnels::of(&state, node_id(4)).is_none());
    assert_eq!(nodes_on(&state, network_id(3)), BTreeSet::new());
}

#[test]
fn both_ends_are_told_the_same_keys_and_no_two_pairs_are() {
    let state = world(|_| {});
    let (one, two, three) = (told(&state, 1), told(&state, 2), told(&state, 3));
    assert_eq!(one[0].keys.keys().collect::<Vec<_>>(), [&1, &2]);
    assert_eq!(one[0].keys, two[0].keys);
    assert_eq!(three[0].keys, two[1].keys);
    let keys = [&one[0], &three[0]].map(|tunnel| tunnel.keys.values().cloned());
    let keys: Vec<_> = keys.into_iter().flatten().collect();
    for (n, key) in keys.iter().enumerate() {
        assert!(!keys[..n].contains(key));
        let ring = state.key_ring().unwrap();
        assert!(ring.epochs.iter().all(|epoch| epoch.key != *key));
    }
}

#[test]
fn tunnels_end_with_what_they_are_for() {
    let without = |change: fn(&mut Object)| peers(&world(change), 2);
    let ended = without(|object| {
        if let Object::Task(task) = object
            && task.id == task_id(3)
        {
            task.status.state = TaskState::Failed;
        }
    });
    assert_eq!(ended, [node_id(1)]);
    let plain = without(|object| {
        if let Object::Network(network) = object
            && network.id == network_id(2)
        {
            network.spec.encrypted = false;
        }
    });
    assert_eq!(plain, [node_id(1)]);
    let mute = without(|object| {
        if let Object::Node(node) = object
            && node.id == node_id(3)
        {
            node.tunnel_key = None;
        }
    });
    assert_eq!(mute, [node_id(1)]);
}

#[test]
fn only_what_changed_is_told_anew() {
    let old = world(|_| {});
    let keys = |new: &State, node: u128| -> Vec<AssignmentKey> {
        let of = |state| Tunnels::of(state, node_id(node));
        let pieces = Tunnels::changes(of(&old).as_ref(), of(new).as_ref());
        pieces.into_iter().map(|(key, _)| key).collect()
    };
    let tunnel = |n| AssignmentKey::Tunnel(node_id(n));
    assert_eq!(keys(&old, 2), []);
    let activated = world(|object| {
        if let Object::KeyRing(ring) = object {
            ring.epochs[0].phase = KeyPhase::Retired;
            ring.epochs[1].phase = KeyPhase::Active;
        }
    });
    assert_eq!(keys(&activated, 2), [AssignmentKey::Epochs]);
    let forgotten = world(|object| {
        if let Object::KeyRing(ring) = object {
            ring.epochs.remove(0);
            ring.epochs[0].phase = KeyPhase::Active;
        }
    });
    let all = [AssignmentKey::Epochs, tunnel(1), tunnel(3)];
    assert_eq!(keys(&forgotten, 2), all);
    let moved = world(|object| {
        if let Object::Node(node) = object
            && node.id == node_id(3)
        {
            node.data_addr = "192.0.2.99".parse().unwrap();
        }
    });
    assert_eq!(keys(&moved, 2), [tunnel(3)]);
    assert_eq!(keys(&moved, 1), []);
    let own = world(|object| {
        if let Object::Node(node) = object
            && node.id == node_id(2)
        {
            node.tunnel_key = Some(tunnel_key(77));
        }
    });
    assert_eq!(keys(&own, 2), [tunnel(1), tunnel(3)]);
    assert_eq!(keys(&own, 1), [tunnel(2)]);
}
