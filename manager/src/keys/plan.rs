//! When keys are made, used and forgotten.

use crate::keys::pairs::nodes_on;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::key::SecretKey;
use weft_proto::object::KeyEpoch;
use weft_proto::object::KeyPhase;
use weft_proto::object::KeyRing;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::time::Timestamp;

/// How long a new key waits for nodes that are up and do not say that they hold it. They hold it
/// within a second, and one that is silent for five is down and not waited for.
pub const DISTRIBUTE_WITHIN: Duration = Duration::from_secs(30);
/// How long a new leader listens before it takes silence for an answer; as long as for calling a
/// node down.
const LISTEN: Duration = Duration::from_secs(5);
/// How long a key is known after it was used for the last time: a WireGuard session ends after
/// 180 s at most, so whoever is up has made a new one since.
pub const RETIRED_FOR: Duration = Duration::from_secs(180);
/// At most so many retired ones are known, however fast keys change. One would be enough for nodes
/// that hear of each change, since a key becomes active only when all hold it.
pub const RETIRED_MOST: usize = 2;

/// What the leader heard of nodes.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The newest epoch that each holds.
    pub held: &'a BTreeMap<NodeId, u64>,
    /// For how long it has listened.
    pub listened: Duration,
}

/// What to do about keys.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// At most one: of the key ring.
    pub changes: Vec<Change>,
    /// The nodes that are up and do not hold the newest key yet.
    pub awaited: Vec<NodeId>,
    /// When there is something to decide if nothing else happens.
    pub wake_at: Option<Timestamp>,
}

/// Decides what becomes of the key ring. Everything it goes by but what was heard is in the state,
/// so any leader goes on where the last one was; and what was heard is heard again by the next.
pub fn plan(
    state: &State,
    heard: Heard<'_>,
    now: Timestamp,
    new_key: impl FnOnce() -> SecretKey,
) -> Plan {
    let Some(cluster) = state.cluster() else {
        return Plan::default();
    };
    let wanted = cluster.keys_wanted;
    let Some(old) = state.key_ring() else {
        let needed = wanted > 0 || state.networks().any(|network| network.spec.encrypted);
        // The first one replaces none, so nobody needs to agree when to use it.
        let first = || KeyRing {
            epochs: vec![epoch(1, new_key(), KeyPhase::Active, now)],
            ..KeyRing::default()
        };
        return Plan {
            changes: needed
                .then(|| Change::create(first()))
                .into_iter()
                .collect(),
            ..Plan::default()
        };
    };
    let mut ring = KeyRing::clone(old);
    forget(&mut ring, now);
    let mut awaited = Vec::new();
    match ring.distributing() {
        Some(next) => {
            let late = apart(now, next.born) >= DISTRIBUTE_WITHIN && heard.listened >= LISTEN;
            let holds = |id: &NodeId| heard.held.get(id).is_some_and(|held| *held >= next.number);
            awaited = concerned(state).filter(|id| !holds(id)).collect();
            if awaited.is_empty() || late {
                activate(&mut ring, now);
            }
        }
        None => {
            let old_enough =
                |newest: &KeyEpoch| apart(now, newest.born) >= cluster.settings.key_rotation;
            if wanted > ring.newest() || ring.epochs.last().is_none_or(old_enough) {
                let next = epoch(ring.newest() + 1, new_key(), KeyPhase::Distributing, now);
                ring.epochs.push(next);
            }
        }
    }
    let wake_at = wake_at(&ring, cluster.settings.key_rotation);
    let changed = ring != **old;
    Plan {
        changes: changed.then(|| Change::update(ring)).into_iter().collect(),
        awaited,
        wake_at,
    }
}

fn epoch(number: u64, key: SecretKey, phase: KeyPhase, now: Timestamp) -> KeyEpoch {
    KeyEpoch {
        number,
        key,
        born: now,
        phase,
        since: now,
    }
}

/// How far two times are apart. A clock that was set back must not keep a key for years, so what
/// lies far ahead is as old as what lies far back.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

/// Drops what nobody needs any more.
fn forget(ring: &mut KeyRing, now: Timestamp) {
    let retired = |epoch: &&KeyEpoch| epoch.phase == KeyPhase::Retired;
    let mut surplus = ring
        .epochs
        .iter()
        .filter(retired)
        .count()
        .saturating_sub(RETIRED_MOST);
    ring.epochs.retain(|epoch| {
        let many = surplus > 0;
        surplus = surplus.saturating_sub(1);
        epoch.phase != KeyPhase::Retired || !(many || apart(now, epoch.since) >= RETIRED_FOR)
    });
}

/// The key that was distributed is used from now on.
fn activate(ring: &mut KeyRing, now: Timestamp) {
    for epoch in &mut ring.epochs {
        epoch.phase = match epoch.phase {
            KeyPhase::Retired => continue,
            KeyPhase::Active => KeyPhase::Retired,
            KeyPhase::Distributing => KeyPhase::Active,
        };
        epoch.since = now;
    }
}

/// The nodes that are up and have tunnels, or will have them as soon as others do.
fn concerned(state: &State) -> impl Iterator<Item = NodeId> {
    let nodes: BTreeSet<NodeId> = state
        .networks()
        .flat_map(|network| nodes_on(state, network.id))
        .collect();
    let up = |node: &Node| node.status.state == NodeState::Ready && node.tunnel_key.is_some();
    nodes
        .into_iter()
        .filter(move |id| state.node(*id).is_some_and(|node| up(node)))
}

fn wake_at(ring: &KeyRing, rotation: Duration) -> Option<Timestamp> {
    let next = match ring.distributing() {
        Some(next) => Some(next.born.after(DISTRIBUTE_WITHIN)),
        None => ring.epochs.last().map(|newest| newest.born.after(rotation)),
    };
    let retired = ring
        .epochs
        .iter()
        .filter(|epoch| epoch.phase == KeyPhase::Retired);
    let forgotten = retired.map(|epoch| epoch.since.after(RETIRED_FOR));
    forgotten.chain(next).min()
}
