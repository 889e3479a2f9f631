//! Nodes whose agent is heard twice, by two managers: each of them sees only one.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use weft_proto::NodeId;

/// Who was heard within this is alive: one heartbeat, and what the word of it takes to the leader.
const ALIVE: Duration = Duration::from_millis(1_500);
/// Both must have been heard for so long: an agent that moves on to another manager, or starts again,
/// leaves no session behind that answers.
const CERTAIN_AFTER: Duration = Duration::from_secs(2);
/// How long managers are told of an agent that is to be refused. They remember it for longer.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// How long a node is marked after it was heard twice.
const MARKED_FOR: Duration = Duration::from_secs(300);

/// What is known of agents, by the numbers they drew at their start. Pure.
#[derive(Debug, Default)]
pub(super) struct Doubles {
    nodes: BTreeMap<NodeId, Pair>,
    refused: BTreeMap<(NodeId, u64), Instant>,
    marked: BTreeMap<NodeId, Instant>,
}

/// The agent that has the place, and one that was heard beside it.
#[derive(Debug)]
struct Pair {
    first: Life,
    second: Option<Life>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    instance: u64,
    begun: Instant,
    heard: Instant,
}

impl Doubles {
    /// An agent was heard at a moment. Number 0: one of an earlier release, of which nothing is known.
    pub(super) fn heard(&mut self, node: NodeId, instance: u64, at: Instant) {
        if instance == 0 {
            return;
        }
        let life = Life {
            instance,
            begun: at,
            heard: at,
        };
        let pair = self.nodes.entry(node).or_insert(Pair {
            first: life,
            second: None,
        });
        if pair.first.instance == instance {
            pair.first.heard = pair.first.heard.max(at);
        } else if at > pair.first.heard + ALIVE {
            // Its successor, by a restart.
            pair.first = life;
            pair.second = None;
        } else {
            match &mut pair.second {
                Some(second) if second.instance == instance => {
                    second.heard = second.heard.max(at);
                }
                second => *second = Some(life),
            }
        }
        if let Some(second) = pair.certain() {
            self.refused.insert((node, second), at);
            self.marked.insert(node, at);
        }
    }

    /// A manager saw both of them itself, and refused one.
    pub(super) fn seen(&mut self, node: NodeId, at: Instant) {
        self.marked.insert(node, at);
    }

    /// The agents that are to be refused by every manager.
    pub(super) fn refused(&mut self, now: Instant) -> Vec<(NodeId, u64)> {
        let recent = |at: Instant| now.saturating_duration_since(at) < TOLD_FOR;
        self.refused.retain(|_, at| recent(*at));
        self.refused.keys().copied().collect()
    }

    /// Whether a node was heard twice lately.
    pub(super) fn is_marked(&self, node: NodeId, now: Instant) -> bool {
        let at = self.marked.get(&node);
        at.is_some_and(|at| now.saturating_duration_since(*at) < MARKED_FOR)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Doubles::default();
    }
}

impl Pair {
    /// The second one, once it is beyond doubt that both are alive: each was heard long after the
    /// second began.
    fn certain(&self) -> Option<u64> {
        let second = self.second?;
        let certain = second.begun + CERTAIN_AFTER;
        let both = second.heard >= certain && self.first.heard + ALIVE >= certain;
        let after = self.first.heard > second.begun + ALIVE / 2;
        let together = self.first.heard + ALIVE >= second.heard;
        (both && after && together).then_some(second.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node_id;

    const BEAT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn the_second_of_two_that_both_go_on_is_refused_within_seconds() {
        let (mut doubles, begin) = (Doubles::default(), Instant::now());
        let node = node_id(1);
        for beat in 0..10 {
            let at = begin + BEAT * beat;
            doubles.heard(node, 7, at);
            if beat >= 5 {
                doubles.heard(node, 8, at + BEAT / 2);
            }
            let expected = beat >= 7;
            let refused = doubles.refused(at + BEAT / 2);
            assert_eq!(
                refused,
                if expected { vec![(node, 8)] } else { vec![] },
                "{beat}"
            );
            assert_eq!(doubles.is_marked(node, at + BEAT), expected);
        }
        let later = begin + BEAT * 1000;
        assert!(doubles.refused(later).is_empty() && !doubles.is_marked(node, later));
    }

    #[tokio::test]
    async fn an_agent_that_starts_again_or_moves_on_is_no_double() {
        let (mut doubles, begin) = (Doubles::default(), Instant::now());
        let node = node_id(1);
        for life in 0..20_u32 {
            // The old session is heard up to its end, the new one from the very moment on.
            for beat in 0..3 {
                let at = begin + BEAT * (life * 3 + beat);
                doubles.heard(node, u64::from(life) + 1, at);
                // Another manager still tells of the old one, which is not heard any more.
                if life > 0 {
                    doubles.heard(node, u64::from(life), begin + BEAT * (life * 3 - 1));
                }
                assert!(doubles.refused(at).is_empty(), "life {life}, beat {beat}");
            }
        }
    }

    #[tokio::test]
    async fn an_agent_without_a_number_is_never_refused() {
        let (mut doubles, begin) = (Doubles::default(), Instant::now());
        for beat in 0..10 {
            doubles.heard(node_id(1), 0, begin + BEAT * beat);
            doubles.heard(node_id(1), 5, begin + BEAT * beat);
        }
        assert!(doubles.refused(begin + BEAT * 9).is_empty());
    }
}
