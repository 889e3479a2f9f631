//! Which nodes answer. Every manager tells the leader whose agents it heard; the leader decides.

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
/// change of manager (about a second) moves no tasks.
pub(crate) const DOWN_AFTER: Duration = Duration::from_secs(5);

/// When each node was last heard, by any manager. In memory: a new leader begins with a grace
/// period for everyone.
#[derive(Debug, Default)]
pub struct Liveness {
    seen: Mutex<BTreeMap<NodeId, Instant>>,
}

impl Liveness {
    /// A manager heard these nodes.
    pub fn heard(&self, heard: &[wire::Heard], now: Instant) {
        let mut seen = self.seen.lock();
        for heard in heard {
            let Ok(node) = heard.node_id.parse::<NodeId>() else {
                continue;
            };
            let age = Duration::from_millis(heard.age_ms);
            let at = now.checked_sub(age).unwrap_or(now);
            let last = seen.entry(node).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// Forgets everything: what an earlier term heard says nothing about now.
    pub fn reset(&self) {
        self.seen.lock().clear();
    }

    /// The changes that make nodes ready or down. `since`: when this manager took office.
    pub(super) fn plan(
        &self,
        state: &State,
        since: Instant,
        now: Instant,
        at: Timestamp,
    ) -> Vec<Change> {
        let seen = self.seen.lock();
        let silence = |node: &Node| {
            let last = seen.get(&node.id).map_or(since, |seen| since.max(*seen));
            now.saturating_duration_since(last)
        };
        let heard = |node: &Node| {
            seen.get(&node.id)
                .is_some_and(|at| now.saturating_duration_since(*at) < DOWN_AFTER)
        };
        let changed = state.nodes().filter_map(|node| {
            let (next, message) = match node.status.state {
                NodeState::Unknown | NodeState::Down if heard(node) => (NodeState::Ready, ""),
                NodeState::Ready if silence(node) >= DOWN_AFTER => {
                    (NodeState::Down, "its agent is silent")
                }
                NodeState::Unknown | NodeState::Down | NodeState::Ready => return None,
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
        }]
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
