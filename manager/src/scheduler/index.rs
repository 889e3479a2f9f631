//! All nodes as the scheduler sees them, kept from one round to the next.

use crate::scheduler::node_info::NodeInfo;
use crate::store::State;
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::addr::IngressSlice;
use weft_proto::object::Node;
use weft_proto::object::ObjectKey;
use weft_proto::object::Task;

/// All nodes by id.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeIndex {
    nodes: BTreeMap<NodeId, NodeInfo>,
}

impl NodeIndex {
    /// The picture of a whole state.
    pub(super) fn of(state: &State) -> NodeIndex {
        let infos = state.nodes().map(|node| (node.id, info(state, node)));
        NodeIndex {
            nodes: infos.collect(),
        }
    }

    /// Goes from the picture of `old` to that of `new`, looking only at what `changed`. True when
    /// a node may have room now that it had not before.
    pub(super) fn follow(
        &mut self,
        old: &State,
        new: &State,
        changed: &BTreeSet<ObjectKey>,
    ) -> bool {
        if pool(old) != pool(new) {
            *self = NodeIndex::of(new);
            return true;
        }
        let mut room = false;
        for key in changed {
            let ObjectKey::Task(id) = key else { continue };
            let (before, after) = (old.task(*id), new.task(*id));
            if let Some(task) = before {
                self.remove(task);
            }
            if let Some(task) = after {
                self.add(task);
            }
            let weight = |task: Option<&Arc<Task>>| {
                task.map_or((false, false), |task| {
                    (NodeInfo::holds(task), task.is_wanted())
                })
            };
            let (before, after) = (weight(before), weight(after));
            room |= before.0 && !after.0 || before.1 && !after.1;
        }
        for key in changed {
            let ObjectKey::Node(id) = key else { continue };
            room = true;
            match (old.node(*id), new.node(*id), self.nodes.get_mut(id)) {
                (_, None, _) => _ = self.nodes.remove(id),
                (Some(before), Some(node), Some(info)) if before.number == node.number => {
                    info.describe(Arc::clone(node));
                }
                (_, Some(node), _) => _ = self.nodes.insert(*id, info(new, node)),
            }
        }
        room
    }

    /// Counts a task.
    pub(super) fn add(&mut self, task: &Task) {
        if let Some(info) = task.node.and_then(|node| self.nodes.get_mut(&node)) {
            info.add(task);
        }
    }

    /// Forgets a task that was counted like this.
    pub(super) fn remove(&mut self, task: &Task) {
        if let Some(info) = task.node.and_then(|node| self.nodes.get_mut(&node)) {
            info.remove(task);
        }
    }

    /// One node.
    pub(super) fn get(&self, node: NodeId) -> Option<&NodeInfo> {
        self.nodes.get(&node)
    }

    /// All nodes, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values()
    }
}

fn info(state: &State, node: &Arc<Node>) -> NodeInfo {
    let slice = pool(state).and_then(|pool| IngressSlice::of(pool, node.number));
    let mut info = NodeInfo::new(Arc::clone(node), slice);
    for task in state.tasks_of_node(node.id) {
        info.add(task);
    }
    info
}

fn pool(state: &State) -> Option<Ipv4Net> {
    state.cluster().map(|cluster| cluster.settings.ingress_pool)
}
