//! Which of the nodes that suit is the best one: spread first, then load.

use crate::scheduler::attribute;
use crate::scheduler::explain::Refusals;
use crate::scheduler::filter::refuse_at_all;
use crate::scheduler::filter::refuse_more;
use crate::scheduler::index::NodeIndex;
use crate::scheduler::node_info::NodeInfo;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::Shared;
use weft_proto::addr::NodeNumber;
use weft_proto::object::Task;
use weft_proto::spec::SpreadPreference;
use weft_proto::spec::TaskSpec;
use weft_proto::time::Timestamp;

/// Tasks that are alike: of one service, with one spec.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) service: ServiceId,
    pub(super) spec: Shared<TaskSpec>,
    /// A network of theirs is encrypted.
    pub(super) encrypted: bool,
    pub(super) now: Timestamp,
}

/// The less the better. A node where such tasks failed lately comes behind all others; then the one
/// with the fewest tasks of the service, the least of itself reserved, the fewest tasks; and the
/// lowest number, so that equal states give equal plans.
type Rank = (bool, usize, u64, usize, NodeNumber);

pub(super) fn rank(info: &NodeInfo, wanted: &Wanted) -> Rank {
    (
        info.is_backed_off(wanted.service, &wanted.spec, wanted.now),
        info.of_service(wanted.service),
        info.load(),
        info.total(),
        info.node.number,
    )
}

/// The nodes that may run tasks that are alike, best first. While such tasks are placed, only the
/// node that got one changes its rank, so that choosing for a thousand tasks looks at each node
/// once and then at two at a time.
#[derive(Debug)]
pub(super) struct Choice {
    wanted: Wanted,
    tree: Tree,
    /// Why the other nodes are none.
    pub(super) refusals: Refusals,
}

/// Nodes, grouped by what the preferences say.
#[derive(Debug)]
enum Tree {
    Nodes(BinaryHeap<Reverse<(Rank, NodeId)>>),
    Groups(Vec<Group>),
}

/// Nodes with the same value of one preference's key.
#[derive(Debug)]
struct Group {
    /// Tasks of the service on them.
    tasks: usize,
    /// None of them takes another one.
    full: bool,
    tree: Tree,
}

impl Choice {
    pub(super) fn new(index: &NodeIndex, wanted: Wanted) -> Choice {
        let mut refusals = Refusals::default();
        let mut suitable = Vec::new();
        for info in index.iter() {
            match refuse_at_all(info, &wanted.spec, wanted.encrypted) {
                Some(refusal) => refusals.add(&info.node.description.hostname, &refusal),
                None => suitable.push(info),
            }
        }
        let tree = Tree::of(suitable, &wanted.spec.preferences, &wanted);
        Choice {
            wanted,
            tree,
            refusals,
        }
    }

    /// Has `give` make a task of the best node for one more, and counts it; `None` when no node
    /// takes it.
    pub(super) fn place(
        &mut self,
        index: &mut NodeIndex,
        give: &mut dyn FnMut(&NodeInfo) -> Task,
    ) -> Option<Task> {
        self.tree
            .place(index, &self.wanted, &mut self.refusals, give)
    }
}

impl Tree {
    fn of(nodes: Vec<&NodeInfo>, preferences: &[SpreadPreference], wanted: &Wanted) -> Tree {
        let Some((first, rest)) = preferences.split_first() else {
            let ranked = nodes
                .into_iter()
                .map(|info| Reverse((rank(info, wanted), info.node.id)));
            return Tree::Nodes(ranked.collect());
        };
        let mut groups: BTreeMap<String, Vec<&NodeInfo>> = BTreeMap::new();
        for info in nodes {
            let value = attribute::value(&info.node, &first.key).into_owned();
            groups.entry(value).or_default().push(info);
        }
        let group = |nodes: Vec<&NodeInfo>| Group {
            tasks: nodes
                .iter()
                .map(|info| info.of_service(wanted.service))
                .sum(),
            full: false,
            tree: Tree::of(nodes, rest, wanted),
        };
        // In order of the values, so that the lowest one wins a tie.
        Tree::Groups(groups.into_values().map(group).collect())
    }

    fn place(
        &mut self,
        index: &mut NodeIndex,
        wanted: &Wanted,
        refusals: &mut Refusals,
        give: &mut dyn FnMut(&NodeInfo) -> Task,
    ) -> Option<Task> {
        match self {
            Tree::Nodes(heap) => loop {
                let mut best = heap.peek_mut()?;
                let id = best.0.1;
                let Some(info) = index.get(id) else {
                    PeekMut::pop(best);
                    continue;
                };
                // What is full for one task of a kind is full for all of them.
                if let Some(refusal) = refuse_more(info, wanted.service, &wanted.spec) {
                    refusals.add(&info.node.description.hostname, &refusal);
                    PeekMut::pop(best);
                    continue;
                }
                let task = give(info);
                index.add(&task);
                if let Some(info) = index.get(id) {
                    best.0.0 = rank(info, wanted);
                }
                return Some(task);
            },
            Tree::Groups(groups) => loop {
                let group = groups
                    .iter_mut()
                    .filter(|group| !group.full)
                    .min_by_key(|group| group.tasks)?;
                let placed = group.tree.place(index, wanted, refusals, give);
                if placed.is_some() {
                    group.tasks += 1;
                    return placed;
                }
                group.full = true;
            },
        }
    }
}
