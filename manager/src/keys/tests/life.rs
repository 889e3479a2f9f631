//! A small cluster in which keys change every second, leaders die, nodes sleep and tasks move.

use crate::fixture::*;
use crate::keys::Heard;
use crate::keys::Tunnels;
use crate::keys::plan;
use crate::keys::tests::*;
use crate::store::State;
use crate::store::apply;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use weft_proto::CommandId;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::EpochsRecord;
use weft_proto::assignment::TunnelRecord;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::key::SecretKey;
use weft_proto::object::*;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// One tick of simulated time.
const TICK: Duration = Duration::from_millis(100);
/// Twelve minutes.
const TICKS: u64 = 7_200;
/// A pair whose nodes are awake and which is as old as this shares a key.
const HEALED: u64 = 30;
/// After so long a sleeping node counts as down.
const DOWN_AFTER: u64 = 50;
const NODES: u16 = 5;
const NETWORKS: u8 = 3;

/// Chance that a seed decides.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // xorshift64* (Vigna 2016).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a node knows, as its agent does.
struct Known {
    seen: Option<State>,
    epochs: EpochsRecord,
    peers: BTreeMap<NodeId, TunnelRecord>,
    /// It sleeps until this tick.
    asleep_until: u64,
    awake_since: u64,
}

struct World {
    dice: Dice,
    tick: u64,
    state: State,
    /// The same commands, applied by another manager.
    replica: State,
    nodes: BTreeMap<u16, Known>,
    held: BTreeMap<NodeId, u64>,
    /// Nobody leads until this tick.
    office: u64,
    /// Who was ever told a key.
    told: BTreeMap<[u8; 32], BTreeSet<NodeId>>,
    /// Since when two nodes share an encrypted network.
    pairs: BTreeMap<(u16, u16), u64>,
    next_task: u8,
    kills: u64,
    /// New keys are used at once, as if all held them.
    hasty: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut cluster = cluster();
        cluster.settings.key_rotation = Duration::from_secs(1);
        let mut objects: Vec<Object> = vec![cluster.into(), network(NETWORKS).into()];
        objects.extend((1..NETWORKS).map(|n| Object::from(encrypted(n))));
        objects.extend((1..=NODES).map(|n| Object::from(keyed(n))));
        let state = state(objects);
        let known = || Known {
            seen: None,
            epochs: EpochsRecord::default(),
            peers: BTreeMap::new(),
            asleep_until: 0,
            awake_since: 0,
        };
        World {
            dice: Dice(seed | 1),
            tick: 0,
            replica: state.clone(),
            state,
            nodes: (1..=NODES).map(|n| (n, known())).collect(),
            held: BTreeMap::new(),
            office: 0,
            told: BTreeMap::new(),
            pairs: BTreeMap::new(),
            next_task: 0,
            kills: 0,
            hasty: false,
        }
    }

    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.tick).unwrap() * 100;
        Timestamp::from_millis(1_000_000_000_000 + millis)
    }

    fn write(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let index = self.state.revision() + 1;
        let command = Command {
            id: CommandId::from_entropy(u128::from(index)),
            at: self.now(),
            changes,
            actor: None,
        };
        let applied = apply(&self.state, index, &command);
        applied.result.unwrap();
        self.state = applied.state;
        // As another manager reads it from the log.
        let command = Command::decode(&command.encode()).unwrap();
        self.replica = apply(&self.replica, index, &command).state;
    }

    fn lead(&mut self) {
        if self.dice.one_in(150) {
            // Dies, also between two phases; the next one has heard nothing.
            self.kills += 1;
            self.held.clear();
            self.office = self.tick + 5 + self.dice.below(30);
        }
        if self.tick < self.office {
            return;
        }
        for (n, node) in &self.nodes {
            // A node reports to some manager, which tells the leader, sooner or later.
            if node.asleep_until <= self.tick && node.seen.is_some() && !self.dice.one_in(3) {
                let id = node_id((*n).into());
                self.held.insert(id, node.epochs.newest);
            }
            if self.hasty {
                self.held.insert(node_id((*n).into()), u64::MAX);
            }
        }
        let listened = TICK * u32::try_from(self.tick - self.office).unwrap();
        let heard = Heard {
            held: &self.held,
            listened,
        };
        let mut key = [0; 32];
        key.fill_with(|| u8::try_from(self.dice.below(256)).unwrap());
        let now = self.now();
        let plan = plan(&self.state, heard, now, || SecretKey::new(key));
        self.write(plan.changes);
        self.judge_nodes();
    }

    fn judge_nodes(&mut self) {
        let mut changes = Vec::new();
        for (n, known) in &self.nodes {
            let mut node = Node::clone(self.state.node(node_id((*n).into())).unwrap());
            let asleep = known.asleep_until > self.tick;
            let long = self.tick.saturating_sub(known.awake_since) > DOWN_AFTER;
            let status = match asleep && long {
                true => NodeState::Down,
                false if !asleep => NodeState::Ready,
                false => continue,
            };
            if node.status.state != status {
                node.status.state = status;
                changes.push(Change::update(node));
            }
        }
        self.write(changes);
    }

    /// Tasks come and go, on networks that are encrypted and one that is not.
    fn move_tasks(&mut self) {
        if !self.dice.one_in(60) {
            return;
        }
        let tasks: Vec<Task> = self.state.tasks().map(|task| Task::clone(task)).collect();
        let ended = |task: &Task| task.status.state.is_terminal();
        let change = match tasks.iter().find(|task| ended(task)).cloned() {
            Some(old) => Change::remove(old),
            None if tasks.len() > 7 => {
                let at = usize::try_from(self.dice.below(tasks.len() as u64)).unwrap();
                let mut task = tasks[at].clone();
                task.status.state = TaskState::Failed;
                Change::update(task)
            }
            None => {
                self.next_task = (self.next_task + 1) % 200;
                let node = 1 + u16::try_from(self.dice.below(NODES.into())).unwrap();
                let network = 1 + u8::try_from(self.dice.below(NETWORKS.into())).unwrap();
                Change::create(on(self.next_task, node, &[network]))
            }
        };
        let fits = match &change {
            Change::Put {
                object: Object::Task(task),
                ..
            } => self.state.task(task.id).is_none() || task.status.state.is_terminal(),
            Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => true,
        };
        if fits {
            self.write(vec![change]);
        }
    }

    fn follow_pairs(&mut self) {
        let mut now = BTreeSet::new();
        for network in self.state.networks() {
            let nodes: Vec<NodeId> = crate::keys::nodes_on(&self.state, network.id)
                .into_iter()
                .collect();
            for one in 1..=NODES {
                for other in one + 1..=NODES {
                    let is_on = |n: u16| nodes.contains(&node_id(n.into()));
                    if is_on(one) && is_on(other) {
                        now.insert((one, other));
                    }
                }
            }
        }
        self.pairs.retain(|pair, _| now.contains(pair));
        for pair in now {
            self.pairs.entry(pair).or_insert(self.tick);
        }
    }

    /// What a node is told in this tick, if it is told anything.
    fn tell(&mut self) {
        for n in 1..=NODES {
            let sleeps = self.dice.one_in(600);
            let nap = 20 + self.dice.below(300);
            let late = self.dice.one_in(3);
            let restarts = self.dice.one_in(1500);
            let tick = self.tick;
            let id = node_id(n.into());
            let node = self.nodes.get_mut(&n).unwrap();
            if node.asleep_until > tick {
                continue;
            }
            if node.asleep_until == tick || restarts {
                // Its session is a new one; after a restart it knows nothing either.
                node.awake_since = tick;
                node.seen = None;
                if restarts {
                    node.peers.clear();
                    node.epochs = EpochsRecord::default();
                }
            }
            if sleeps {
                node.asleep_until = tick + nap;
                node.awake_since = tick;
                continue;
            }
            if late {
                continue;
            }
            let new = Tunnels::of(&self.state, id);
            let pieces = match node.seen.take() {
                Some(old) => Tunnels::changes(Tunnels::of(&old, id).as_ref(), new.as_ref()),
                None => {
                    node.peers.clear();
                    node.epochs = EpochsRecord::default();
                    let all = new.iter().flat_map(Tunnels::all);
                    all.map(|piece| (piece.key(), Some(piece))).collect()
                }
            };
            node.seen = Some(self.state.clone());
            for (key, piece) in pieces {
                match (key, &piece) {
                    (AssignmentKey::Epochs, Some(Assignment::Epochs(epochs))) => {
                        node.epochs = *epochs;
                    }
                    (AssignmentKey::Epochs, None) => node.epochs = EpochsRecord::default(),
                    (AssignmentKey::Tunnel(_), Some(Assignment::Tunnel(tunnel))) => {
                        node.peers.insert(tunnel.node, tunnel.clone());
                        for key in tunnel.keys.values() {
                            let told = self.told.entry(*key.expose()).or_default();
                            told.insert(id);
                            // Of this very pair, and of nobody else.
                            assert!(told.iter().all(|end| [id, tunnel.node].contains(end)));
                        }
                    }
                    (AssignmentKey::Tunnel(peer), None) => _ = node.peers.remove(&peer),
                    other => panic!("{other:?}"),
                }
                // The keys that all others are made from are never among it.
                let bytes = piece.map(|piece| wire::Assignment::from(&piece).encode_to_vec());
                let bytes = bytes.unwrap_or_default();
                for epoch in &self.state.key_ring().unwrap().epochs {
                    let key = epoch.key.expose();
                    assert!(!bytes.windows(key.len()).any(|window| window == key));
                }
            }
        }
    }

    /// Two nodes that were awake and shared a network for a while can talk: each holds the key that
    /// the other one uses.
    fn check(&self) {
        for ((one, other), since) in &self.pairs {
            let (a, b) = (&self.nodes[one], &self.nodes[other]);
            let steady = |known: &Known| {
                known.asleep_until <= self.tick && self.tick - known.awake_since >= HEALED
            };
            if self.tick - since < HEALED || !steady(a) || !steady(b) {
                continue;
            }
            let (one, other) = (node_id((*one).into()), node_id((*other).into()));
            let used =
                |known: &Known, peer| known.peers[&peer].keys.get(&known.epochs.active).cloned();
            let (used_by_a, used_by_b) = (used(a, other), used(b, one));
            assert!(
                used_by_a.is_some() && used_by_b.is_some(),
                "tick {}",
                self.tick
            );
            let holds = |known: &Known, peer, key: &Option<SecretKey>| {
                known.peers[&peer]
                    .keys
                    .values()
                    .any(|held| Some(held) == key.as_ref())
            };
            assert!(holds(b, one, &used_by_a), "tick {}", self.tick);
            assert!(holds(a, other, &used_by_b), "tick {}", self.tick);
        }
    }

    fn run(&mut self) {
        for tick in 1..=TICKS {
            self.tick = tick;
            self.lead();
            self.move_tasks();
            self.follow_pairs();
            self.tell();
            self.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn two_nodes_that_are_up_always_share_a_key_and_nobody_else_is_told_it(seed in any::<u64>()) {
        let mut world = World::new(seed);
        world.run();
        prop_assert!(world.kills > 10, "{} leaders died", world.kills);
        let ring = world.state.key_ring().unwrap();
        // Every second, but for sleepers that are not down yet and times without a leader.
        prop_assert!(ring.newest() > 150, "only {} keys", ring.newest());
        prop_assert!(!world.told.is_empty());
        prop_assert_eq!(world.state.hash(), world.replica.hash());
    }
}

#[test]
#[should_panic(expected = "tick")]
fn without_the_wait_for_acknowledgements_two_nodes_would_share_no_key() {
    let mut world = World::new(7);
    world.hasty = true;
    world.run();
}
