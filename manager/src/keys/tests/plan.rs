//! When keys are made, used and forgotten.

use crate::fixture::*;
use crate::keys::DISTRIBUTE_WITHIN;
use crate::keys::Heard;
use crate::keys::Plan;
use crate::keys::RETIRED_FOR;
use crate::keys::plan;
use crate::keys::tests::*;
use crate::store::State;
use crate::store::apply;
use std::collections::BTreeMap;
use std::time::Duration;
use weft_proto::CommandId;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::defaults::KEY_ROTATION;
use weft_proto::key::SecretKey;
use weft_proto::object::*;
use weft_proto::time::Timestamp;

/// A state whose time a test sets, and what its leader heard.
struct World {
    state: State,
    now: Timestamp,
    held: BTreeMap<NodeId, u64>,
    listened: Duration,
}

impl World {
    /// Two nodes on an encrypted network, and one that is on none.
    fn new() -> World {
        World::of(vec![
            cluster().into(),
            encrypted(1).into(),
            network(2).into(),
            keyed(1).into(),
            keyed(2).into(),
            keyed(3).into(),
            on(1, 1, &[1]).into(),
            on(2, 2, &[1]).into(),
            on(3, 3, &[2]).into(),
        ])
    }

    fn of(objects: Vec<Object>) -> World {
        World {
            state: state(objects),
            now: Timestamp::from_millis(1_000_000_000_000),
            held: BTreeMap::new(),
            listened: Duration::from_secs(60),
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        let revision = self.state.revision() + 1;
        let command = Command {
            id: CommandId::from_entropy(u128::from(revision)),
            at: self.now,
            changes,
            actor: None,
        };
        let applied = apply(&self.state, revision, &command);
        applied.result.unwrap();
        self.state = applied.state;
    }

    fn plan(&self) -> Plan {
        let heard = Heard {
            held: &self.held,
            listened: self.listened,
        };
        // Every key is another one.
        let number = u8::try_from(self.state.revision() % 251).unwrap();
        plan(&self.state, heard, self.now, || {
            SecretKey::new([number; 32])
        })
    }

    /// Plans until nothing is left to do; says which nodes are waited for.
    fn settle(&mut self) -> Vec<NodeId> {
        for _ in 0..10 {
            let plan = self.plan();
            if plan.changes.is_empty() {
                return plan.awaited;
            }
            self.write(plan.changes);
        }
        panic!("it never comes to rest");
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn hold(&mut self, node: u16, epoch: u64) {
        self.held.insert(node_id(node.into()), epoch);
    }

    fn ring(&self) -> Vec<(u64, KeyPhase)> {
        let ring = self.state.key_ring();
        let epochs = ring.map(|ring| ring.epochs.iter().map(|epoch| (epoch.number, epoch.phase)));
        epochs.into_iter().flatten().collect()
    }
}

const D: KeyPhase = KeyPhase::Distributing;
const A: KeyPhase = KeyPhase::Active;
const R: KeyPhase = KeyPhase::Retired;

#[test]
fn there_are_no_keys_before_a_network_is_encrypted_or_somebody_asks() {
    let mut world = World::of(vec![cluster().into(), network(1).into(), keyed(1).into()]);
    world.settle();
    assert_eq!(world.ring(), []);
    world.write(vec![Change::create(encrypted(2))]);
    world.settle();
    assert_eq!(world.ring(), [(1, A)]);

    let mut asked = cluster();
    asked.keys_wanted = 1;
    let mut world = World::of(vec![asked.into()]);
    world.settle();
    assert_eq!(world.ring(), [(1, A)]);
}

#[test]
fn a_new_key_is_used_when_all_that_need_it_hold_it_and_the_old_one_is_known_for_a_while() {
    let mut world = World::new();
    world.settle();
    world.pass(KEY_ROTATION - Duration::from_secs(1));
    world.settle();
    assert_eq!(world.ring(), [(1, A)]);
    assert_eq!(
        world.plan().wake_at,
        Some(world.now.after(Duration::from_secs(1)))
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.settle(), [node_id(1), node_id(2)], "not the third");
    assert_eq!(world.ring(), [(1, A), (2, D)]);
    world.hold(1, 2);
    world.hold(2, 1);
    assert_eq!(world.settle(), [node_id(2)]);
    assert_eq!(world.ring(), [(1, A), (2, D)]);
    world.hold(2, 2);
    world.settle();
    assert_eq!(world.ring(), [(1, R), (2, A)]);
    world.pass(RETIRED_FOR - Duration::from_secs(1));
    world.settle();
    assert_eq!(world.ring(), [(1, R), (2, A)]);
    world.pass(Duration::from_secs(1));
    world.settle();
    assert_eq!(world.ring(), [(2, A)]);
}

#[test]
fn every_key_is_another_one() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for epoch in 1..20 {
        world.settle();
        world.hold(1, epoch);
        world.hold(2, epoch);
        world.settle();
        let active = world.state.key_ring().unwrap().active().unwrap().clone();
        assert_eq!(active.number, epoch);
        assert!(!seen.contains(&active.key));
        seen.push(active.key);
        world.pass(KEY_ROTATION);
    }
}

#[test]
fn nodes_that_are_down_or_have_no_tunnels_hold_nothing_up() {
    let mut world = World::new();
    let mut down = Node::clone(world.state.node(node_id(1)).unwrap());
    down.status.state = NodeState::Down;
    let mut mute = Node::clone(world.state.node(node_id(2)).unwrap());
    mute.tunnel_key = None;
    world.write(vec![Change::update(down), Change::update(mute)]);
    world.settle();
    world.pass(KEY_ROTATION);
    world.settle();
    assert_eq!(world.ring(), [(1, R), (2, A)]);
}

#[test]
fn a_node_that_never_answers_holds_it_up_only_for_so_long_and_a_new_leader_listens_first() {
    let mut world = World::new();
    world.settle();
    world.pass(KEY_ROTATION);
    world.settle();
    world.hold(1, 2);
    world.pass(DISTRIBUTE_WITHIN - Duration::from_millis(1));
    assert_eq!(world.settle(), [node_id(2)]);
    world.pass(Duration::from_millis(1));
    world.listened = Duration::from_secs(4);
    world.held.clear();
    assert_eq!(world.settle(), [node_id(1), node_id(2)]);
    assert_eq!(world.ring(), [(1, A), (2, D)]);
    world.listened = Duration::from_secs(5);
    world.settle();
    assert_eq!(world.ring(), [(1, R), (2, A)]);
}

#[test]
fn a_clock_that_was_set_back_keeps_no_key_for_years() {
    let mut world = World::new();
    world.settle();
    world.now = Timestamp::from_millis(world.now.as_millis() - 1_000_000_000);
    world.settle();
    assert_eq!(world.ring(), [(1, A), (2, D)]);
}

#[test]
fn one_key_at_a_time_is_distributed_however_often_somebody_asks() {
    let mut world = World::new();
    world.settle();
    let mut asked = Cluster::clone(world.state.cluster().unwrap());
    asked.keys_wanted = 2;
    world.write(vec![Change::update(asked)]);
    world.settle();
    assert_eq!(world.ring(), [(1, A), (2, D)]);
    world.pass(Duration::from_secs(1));
    world.settle();
    assert_eq!(world.ring(), [(1, A), (2, D)]);
    world.hold(1, 2);
    world.hold(2, 2);
    world.settle();
    assert_eq!(world.ring(), [(1, R), (2, A)], "the wish is fulfilled");
}

#[test]
fn a_key_that_is_used_is_made_of_the_state_alone_whoever_leads() {
    let mut world = World::new();
    world.settle();
    world.pass(KEY_ROTATION);
    world.settle();
    // The next leader heard nothing yet, and hears all of it again.
    let epochs = world.state.key_ring().unwrap().epochs.clone();
    world.held.clear();
    world.listened = Duration::ZERO;
    world.settle();
    assert_eq!(world.state.key_ring().unwrap().epochs, epochs);
    world.hold(1, 2);
    world.hold(2, 2);
    world.settle();
    let now = world.state.key_ring().unwrap();
    assert_eq!(now.active().unwrap().key, epochs[1].key);
}
