//! Which keys a node is told.

use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use weft_pki::tunnel::pair_key;
use weft_proto::ClusterId;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::EpochsRecord;
use weft_proto::assignment::TunnelRecord;
use weft_proto::key::SecretKey;
use weft_proto::key::TunnelKey;
use weft_proto::object::KeyRing;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;

/// A piece of what a node is told, as it is now; `None`: it is no more.
pub type Piece = (AssignmentKey, Option<Assignment>);

/// The tunnels of one node. Keys are derived only for what is told.
#[derive(Clone, Debug)]
pub struct Tunnels {
    cluster: ClusterId,
    ring: Arc<KeyRing>,
    me: (NodeId, TunnelKey),
    /// The other ends.
    peers: BTreeMap<NodeId, (TunnelKey, IpAddr)>,
}

impl Tunnels {
    /// Those of `node`: to every other node that has a task on an encrypted network where it has
    /// one too. `None`: it is on no such network, or told no public key, or there are no keys yet.
    pub fn of(state: &State, node: NodeId) -> Option<Tunnels> {
        let ring = state.key_ring()?.clone();
        let own: BTreeSet<NetworkId> = state
            .tasks_of_node(node)
            .filter(|task| place(task).is_some())
            .flat_map(|task| task.addresses.keys().copied())
            .filter(|id| is_encrypted(state, *id))
            .collect();
        if own.is_empty() {
            return None;
        }
        let nodes: BTreeSet<NodeId> = own.iter().flat_map(|id| nodes_on(state, *id)).collect();
        let peer = |id: NodeId| {
            let node = state.node(id)?;
            Some((id, (node.tunnel_key?, node.data_addr)))
        };
        Some(Tunnels {
            cluster: state.cluster()?.id,
            ring,
            me: (node, state.node(node)?.tunnel_key?),
            peers: nodes
                .into_iter()
                .filter(|id| *id != node)
                .filter_map(peer)
                .collect(),
        })
    }

    /// Everything that a node with these tunnels is told of them.
    pub fn all(&self) -> impl Iterator<Item = Assignment> + '_ {
        let tunnels = self.peers.keys().filter_map(|peer| self.tunnel(*peer));
        [Assignment::Epochs(self.epochs())]
            .into_iter()
            .chain(tunnels)
    }

    /// What differs for somebody who was told `old`.
    pub fn changes(old: Option<&Tunnels>, new: Option<&Tunnels>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if old.map(Tunnels::epochs) != new.map(Tunnels::epochs) {
            let now = new.map(|new| Assignment::Epochs(new.epochs()));
            pieces.push((AssignmentKey::Epochs, now));
        }
        let peers = |of: Option<&Tunnels>| -> BTreeSet<NodeId> {
            let peers = of.map(|tunnels| tunnels.peers.keys().copied());
            peers.into_iter().flatten().collect()
        };
        let kept = old.zip(new).filter(|(old, new)| old.same_keys(new));
        for peer in peers(old).union(&peers(new)) {
            if kept.is_some_and(|(old, new)| old.peers.get(peer) == new.peers.get(peer)) {
                continue;
            }
            let now = new.and_then(|new| new.tunnel(*peer));
            pieces.push((AssignmentKey::Tunnel(*peer), now));
        }
        pieces
    }

    fn epochs(&self) -> EpochsRecord {
        EpochsRecord {
            active: self.ring.active().map_or(0, |epoch| epoch.number),
            newest: self.ring.newest(),
        }
    }

    /// Whether an unchanged pair has the same keys in both.
    fn same_keys(&self, other: &Tunnels) -> bool {
        fn keys(ring: &KeyRing) -> impl Iterator<Item = (u64, &SecretKey)> {
            ring.epochs.iter().map(|epoch| (epoch.number, &epoch.key))
        }
        self.me == other.me
            && self.cluster == other.cluster
            && (Arc::ptr_eq(&self.ring, &other.ring) || keys(&self.ring).eq(keys(&other.ring)))
    }

    fn tunnel(&self, peer: NodeId) -> Option<Assignment> {
        let (public_key, data_addr) = *self.peers.get(&peer)?;
        let epochs = self.ring.epochs.iter();
        let key = |number, key| {
            let key = pair_key(key, number, self.cluster, self.me, (peer, public_key))?;
            Some((number, key))
        };
        Some(Assignment::Tunnel(TunnelRecord {
            node: peer,
            public_key,
            data_addr,
            keys: epochs
                .filter_map(|epoch| key(epoch.number, &epoch.key))
                .collect(),
        }))
    }
}

/// The nodes that have tasks on a network which is encrypted; none when it is not.
pub fn nodes_on(state: &State, network: NetworkId) -> BTreeSet<NodeId> {
    if !is_encrypted(state, network) {
        return BTreeSet::new();
    }
    let tasks = state.tasks_of_network(network);
    tasks.filter_map(|task| place(task)).collect()
}

fn is_encrypted(state: &State, network: NetworkId) -> bool {
    let network = state.network(network);
    network.is_some_and(|network| network.spec.encrypted)
}

/// The node that a task lives on.
fn place(task: &Task) -> Option<NodeId> {
    let state = task.status.state;
    task.node
        .filter(|_| state >= TaskState::Assigned && !state.is_terminal())
}
