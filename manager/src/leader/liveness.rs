//! Which nodes answer. Every manager tells the leader whose agents it heard; the leader decides.

use crate::leader::doubles::Doubles;
use crate::store::State;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// How long a node may be silent before it is down: five heartbeats, so that a busy machine or a
/// change of manager (about three seconds when the manager dies without a word) moves no tasks.
pub(crate) const DOWN_AFTER: Duration = Duration::from_secs(5);
/// How long a node whose session broke may take to hold one with any manager again. A process that
/// is killed breaks it at once; an agent whose manager died is back within a second.
pub(crate) const BROKEN_AFTER: Duration = Duration::from_secs(2);

/// When each node was last heard, by any manager. In memory: a new leader begins with a grace
/// period for everyone.
#[derive(Debug, Default)]
pub struct Liveness {
    seen: Mutex<BTreeMap<NodeId, Seen>>,
    /// Nodes that the leader waits for until it uses a new key of the data plane.
    keys_awaited: Mutex<Vec<NodeId>>,
    doubles: Mutex<Doubles>,
}

/// What is said of a node of which two agents were heard.
const DOUBLED: &str = "another machine has its identity and was refused: unless it was copied on \
     purpose, its key was stolen (weft node revoke)";

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    heard: Option<Instant>,
    /// When its session with some manager broke.
    broke: Option<Instant>,
    /// It holds the keys of the data plane up to this epoch, as it said when it was heard last.
    key_epoch: u64,
}

impl Liveness {
    /// A manager heard these nodes.
    pub fn heard(&self, heard: &[wire::Heard], now: Instant) {
        let (mut seen, mut doubles) = (self.seen.lock(), self.doubles.lock());
        for heard in heard {
            let Ok(node) = heard.node_id.parse::<NodeId>() else {
                continue;
            };
            let age = Duration::from_millis(heard.age_ms);
            let at = now.checked_sub(age).unwrap_or(now);
            if !heard.gone {
                doubles.heard(node, heard.instance, at);
            }
            if heard.doubled {
                doubles.seen(node, now);
            }
            let at = Some(at);
            let known = seen.entry(node).or_default();
            if !heard.gone && at >= known.heard {
                known.key_epoch = heard.key_epoch;
            }
            let last = if heard.gone {
                &mut known.broke
            } else {
                &mut known.heard
            };
            *last = at.max(*last);
        }
    }

    /// The newest epoch of the data plane's keys that each node holds.
    pub(super) fn held(&self) -> BTreeMap<NodeId, u64> {
        let seen = self.seen.lock();
        seen.iter()
            .map(|(node, seen)| (*node, seen.key_epoch))
            .collect()
    }

    /// The leader waits for these nodes until it uses a new key.
    pub fn await_keys(&self, nodes: Vec<NodeId>) {
        *self.keys_awaited.lock() = nodes;
    }

    /// The nodes that the leader waits for until it uses a new key.
    pub fn keys_awaited(&self) -> Vec<NodeId> {
        self.keys_awaited.lock().clone()
    }

    /// Forgets everything: what an earlier term heard says nothing about now.
    pub fn reset(&self) {
        self.seen.lock().clear();
        self.doubles.lock().clear();
    }

    /// The agents that every manager is to refuse, because others have their identities.
    pub fn refused(&self, now: Instant) -> Vec<wire::RefusedAgent> {
        let refused = self.doubles.lock().refused(now);
        let agent = |(node, instance): (NodeId, u64)| wire::RefusedAgent {
            node_id: node.to_string(),
            instance,
        };
        refused.into_iter().map(agent).collect()
    }

    /// The changes that make nodes ready or down. `since`: when this manager took office, or could
    /// hear again after it was held up itself.
    pub(super) fn plan(
        &self,
        state: &State,
        since: Instant,
        now: Instant,
        at: Timestamp,
    ) -> Vec<Change> {
        let (seen, doubles) = (self.seen.lock(), self.doubles.lock());
        let changed = state.nodes().filter_map(|node| {
            let marked = doubles.is_marked(node.id, now);
            let seen = seen.get(&node.id).copied().unwrap_or_default();
            let (next, message) = match (node.status.state, seen.missing(since, now)) {
                (NodeState::Unknown | NodeState::Down, None) if seen.is_fresh(now) => {
                    (NodeState::Ready, if marked { DOUBLED } else { "" })
                }
                (NodeState::Ready, Some(why)) => (NodeState::Down, why),
                (NodeState::Ready, None) if marked != (node.status.message == DOUBLED) => {
                    let mut node = Node::clone(node);
                    node.status.message = if marked { DOUBLED } else { "" }.to_owned();
                    return Some(Change::update(node));
                }
                (NodeState::Unknown | NodeState::Down | NodeState::Ready, _) => return None,
            };
            let mut node = Node::clone(node);
            node.status.state = next;
            node.status.message = message.to_owned();
            node.status.since = at;
            Some(Change::update(node))
        });
        changed.collect()
    }
}

impl Seen {
    fn is_fresh(self, now: Instant) -> bool {
        self.heard
            .is_some_and(|at| now.saturating_duration_since(at) < DOWN_AFTER)
    }

    /// Why the node counts as down; `None`: it does not.
    fn missing(self, since: Instant, now: Instant) -> Option<&'static str> {
        let silent_since = self.heard.map_or(since, |at| since.max(at));
        if now.saturating_duration_since(silent_since) >= DOWN_AFTER {
            return Some("its agent is silent");
        }
        let broke = self.broke.filter(|broke| Some(*broke) > self.heard)?;
        let gone_for = now.saturating_duration_since(since.max(broke));
        (gone_for >= BROKEN_AFTER).then_some("its agent's connection broke")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node;
    use crate::fixture::state;
    use weft_proto::object::Object;

    fn heard(n: u16) -> Vec<wire::Heard> {
        vec![wire::Heard {
            node_id: node(n).id.to_string(),
            age_ms: 0,
            applied_revision: 7,
            gone: false,
            key_epoch: 0,
            ..wire::Heard::default()
        }]
    }

    fn gone(n: u16) -> Vec<wire::Heard> {
        let mut heard = heard(n);
        heard[0].gone = true;
        heard
    }

    fn states(changes: &[Change]) -> Vec<NodeState> {
        changes
            .iter()
            .map(|change| match change {
                Change::Put {
                    object: Object::Node(node),
                    ..
                } => node.status.state,
                other @ (Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. }) => {
                    panic!("{other:?}")
                }
            })
            .collect()
    }

    #[test]
    fn a_silent_node_is_down_only_after_the_new_leaders_grace() {
        let state = state(vec![node(1).into()]);
        let liveness = Liveness::default();
        let start = Instant::now();
        let plan = |after: u64| {
            let now = start + Duration::from_secs(after);
            states(&liveness.plan(&state, start, now, Timestamp::default()))
        };
        assert_eq!(plan(4), []);
        assert_eq!(plan(5), [NodeState::Down]);
        liveness.heard(&heard(1), start + Duration::from_secs(4));
        assert_eq!(plan(8), []);
        assert_eq!(plan(9), [NodeState::Down]);
    }

    #[test]
    fn a_node_whose_session_broke_is_down_soon_unless_it_comes_back_anywhere() {
        let state = state(vec![node(1).into()]);
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let plan = |liveness: &Liveness, millis| {
            states(&liveness.plan(&state, start, after(millis), Timestamp::default()))
        };
        let liveness = Liveness::default();
        liveness.heard(&heard(1), after(1_000));
        liveness.heard(&gone(1), after(1_500));
        assert_eq!(plan(&liveness, 3_499), []);
        assert_eq!(plan(&liveness, 3_500), [NodeState::Down]);
        liveness.heard(&heard(1), after(3_400));
        assert_eq!(plan(&liveness, 3_500), [], "it holds a session elsewhere");
        let held_up = after(3_000);
        let liveness = Liveness::default();
        liveness.heard(&gone(1), after(1_500));
        let late = liveness.plan(&state, held_up, after(4_000), Timestamp::default());
        assert_eq!(states(&late), [], "who was held up does not judge at once");
    }

    #[test]
    fn a_node_whose_identity_is_used_twice_is_marked_and_stays_ready() {
        let begin = Instant::now();
        let liveness = Liveness::default();
        let mut state = state(vec![node(1).into()]);
        let mut plan = |at: u64| {
            let now = begin + Duration::from_secs(at);
            let mut heard = heard(1);
            heard[0].doubled = at < 10;
            liveness.heard(&heard, now);
            let changes = liveness.plan(&state, begin, now, Timestamp::default());
            for change in &changes {
                if let Change::Put { object, .. } = change {
                    state = crate::fixture::state(vec![object.clone()]);
                }
            }
            let node = state.nodes().next().unwrap();
            assert_eq!(node.status.state, NodeState::Ready);
            (changes.len(), node.status.message == DOUBLED)
        };
        assert_eq!(plan(1), (1, true));
        assert_eq!(plan(2), (0, true), "once");
        assert_eq!(plan(400), (1, false), "not for ever");
    }

    #[test]
    fn a_node_that_answers_again_is_ready_again() {
        let mut down = node(1);
        down.status.state = NodeState::Down;
        let state = state(vec![down.into()]);
        let liveness = Liveness::default();
        let now = Instant::now();
        assert_eq!(
            states(&liveness.plan(&state, now, now, Timestamp::default())),
            []
        );
        liveness.heard(&heard(1), now);
        let plan = liveness.plan(&state, now, now, Timestamp::default());
        assert_eq!(states(&plan), [NodeState::Ready]);
    }
}
