//! What this node shares with each other node.

use std::collections::BTreeMap;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Assignments;
use weft_proto::assignment::EpochsRecord;
use weft_proto::assignment::TunnelRecord;
use weft_proto::key::SecretKey;

/// The nodes that this one has tunnels to, and the keys it shares with each. Keys are wiped when
/// the last table that has them is dropped; `Debug` does not show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTable {
    /// Which epochs count.
    pub epochs: EpochsRecord,
    /// The other ends. None of them is there twice.
    pub peers: BTreeMap<NodeId, TunnelRecord>,
}

impl KeyTable {
    /// The table after one more step from a manager; `None` when the step leaves it as it is.
    /// Everything that a step says holds at once: a key that is told in it may be active in it.
    pub fn after(&self, step: &Assignments) -> Option<KeyTable> {
        let mut next = if step.snapshot {
            KeyTable::default()
        } else if concerned(step) {
            self.clone()
        } else {
            return None;
        };
        for key in &step.removals {
            match key {
                AssignmentKey::Tunnel(peer) => _ = next.peers.remove(peer),
                AssignmentKey::Epochs => next.epochs = EpochsRecord::default(),
                AssignmentKey::Task(_)
                | AssignmentKey::Network(_)
                | AssignmentKey::Endpoint(..)
                | AssignmentKey::Service(..)
                | AssignmentKey::Published(..)
                | AssignmentKey::Material(..)
                | AssignmentKey::Peer(_) => {}
            }
        }
        for piece in &step.upserts {
            match piece {
                Assignment::Tunnel(tunnel) => _ = next.peers.insert(tunnel.node, tunnel.clone()),
                Assignment::Epochs(epochs) => next.epochs = *epochs,
                Assignment::Task(_)
                | Assignment::Network(_)
                | Assignment::Endpoint(_)
                | Assignment::Service(_)
                | Assignment::Published(_)
                | Assignment::Material(_)
                | Assignment::Peer(_) => {}
            }
        }
        (next != *self).then_some(next)
    }

    /// The key for new handshakes with a node.
    pub fn active(&self, peer: NodeId) -> Option<&SecretKey> {
        self.peers.get(&peer)?.keys.get(&self.epochs.active)
    }
}

fn concerned(step: &Assignments) -> bool {
    let told = step.upserts.iter().map(Assignment::key);
    told.chain(step.removals.iter().copied())
        .any(|key| matches!(key, AssignmentKey::Tunnel(_) | AssignmentKey::Epochs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::key::TunnelKey;

    fn peer(n: u8) -> NodeId {
        NodeId::from_entropy(n.into())
    }

    fn tunnel(n: u8, epochs: &[u64]) -> Assignment {
        let key = |epoch: &u64| (*epoch, SecretKey::new([n; 32]));
        Assignment::Tunnel(TunnelRecord {
            node: peer(n),
            public_key: TunnelKey::try_from([n; 32].as_slice()).unwrap(),
            data_addr: "192.0.2.1".parse().unwrap(),
            keys: epochs.iter().map(key).collect(),
        })
    }

    fn epochs(active: u64, newest: u64) -> Assignment {
        Assignment::Epochs(EpochsRecord { active, newest })
    }

    fn step(snapshot: bool, upserts: Vec<Assignment>, removals: Vec<AssignmentKey>) -> Assignments {
        Assignments {
            revision: 1,
            snapshot,
            upserts,
            removals,
            managers: Vec::new(),
        }
    }

    #[test]
    fn a_new_key_is_used_only_when_it_is_active() {
        let first = vec![epochs(1, 1), tunnel(2, &[1])];
        let table = KeyTable::default().after(&step(true, first, vec![]));
        let table = table.unwrap();
        assert!(table.active(peer(2)).is_some());
        assert!(table.active(peer(3)).is_none());
        let next = vec![epochs(1, 2), tunnel(2, &[1, 2])];
        let table = table.after(&step(false, next, vec![])).unwrap();
        assert_eq!(table.epochs.active, 1);
        let table = table.after(&step(false, vec![epochs(2, 2)], vec![]));
        let table = table.unwrap();
        assert_eq!(table.active(peer(2)), table.peers[&peer(2)].keys.get(&2));
    }

    #[test]
    fn what_is_not_told_any_more_is_forgotten() {
        let first = vec![epochs(1, 1), tunnel(2, &[1]), tunnel(3, &[1])];
        let table = KeyTable::default().after(&step(true, first, vec![]));
        let table = table.unwrap();
        let gone = step(false, vec![], vec![AssignmentKey::Tunnel(peer(3))]);
        let table = table.after(&gone).unwrap();
        assert_eq!(table.peers.len(), 1);
        assert_eq!(table.after(&step(false, vec![], vec![])), None);
        let table = table.after(&step(true, vec![], vec![]));
        assert_eq!(table, Some(KeyTable::default()));
    }
}
