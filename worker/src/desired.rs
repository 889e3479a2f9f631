//! What this node should be: plain data, told by a manager, acted on by the reconciler.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use weft_proto::MaterialId;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Assignments;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::MaterialRecord;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::PeerRecord;
use weft_proto::assignment::PublishedRecord;
use weft_proto::assignment::ServiceRecord;
use weft_proto::object::Task;
use weft_proto::spec::FileRef;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::Protocol;

/// The part of the cluster's state that this node's tasks need, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The revision of the cluster's state.
    pub revision: u64,
    /// The node's own tasks, also ended ones that the cluster still remembers.
    pub tasks: BTreeMap<TaskId, Task>,
    /// The networks they attach to.
    pub networks: BTreeMap<NetworkId, NetworkRecord>,
    /// The tasks on those networks, wherever they run.
    pub endpoints: BTreeMap<(NetworkId, TaskId), EndpointRecord>,
    /// The services on those networks.
    pub services: BTreeMap<(NetworkId, ServiceId), ServiceRecord>,
    /// The ports of the routing mesh.
    pub published: BTreeMap<(Protocol, u16), PublishedRecord>,
    /// The nodes of the routing mesh, this one too.
    pub peers: BTreeMap<NodeId, PeerRecord>,
    /// The secrets and configs that its tasks use, by version.
    pub materials: BTreeMap<(MaterialId, u64), MaterialRecord>,
    /// Where managers are reached.
    pub managers: Vec<SocketAddr>,
}

impl Desired {
    /// What is desired after one more step from a manager.
    #[must_use]
    pub fn after(&self, step: Assignments) -> Desired {
        let mut next = if step.snapshot {
            Desired::default()
        } else {
            self.clone()
        };
        next.revision = step.revision;
        next.managers = step.managers;
        for key in step.removals {
            next.remove(key);
        }
        for assignment in step.upserts {
            next.insert(assignment);
        }
        next
    }

    /// The same, as the snapshot that would lead here from nothing.
    pub fn to_snapshot(&self) -> Assignments {
        let tasks = self
            .tasks
            .values()
            .cloned()
            .map(|task| Assignment::Task(Box::new(task)));
        let upserts = tasks
            .chain(self.networks.values().cloned().map(Assignment::Network))
            .chain(self.endpoints.values().cloned().map(Assignment::Endpoint))
            .chain(self.services.values().cloned().map(Assignment::Service))
            .chain(self.published.values().cloned().map(Assignment::Published))
            .chain(self.peers.values().cloned().map(Assignment::Peer))
            .chain(self.materials.values().cloned().map(Assignment::Material))
            .collect();
        Assignments {
            revision: self.revision,
            snapshot: true,
            upserts,
            removals: Vec::new(),
            managers: self.managers.clone(),
        }
    }

    /// The same as it may lie on a disk: without the data of secrets. Configs stay, so that tasks
    /// with nothing else start without a manager.
    pub fn to_saved(&self) -> Assignments {
        let mut saved = self.to_snapshot();
        saved.upserts.retain(|assignment| match assignment {
            Assignment::Material(record) => record.kind == MaterialKind::Config,
            Assignment::Task(_)
            | Assignment::Network(_)
            | Assignment::Endpoint(_)
            | Assignment::Service(_)
            | Assignment::Published(_)
            | Assignment::Peer(_) => true,
            Assignment::Tunnel(_) | Assignment::Epochs(_) => false,
        });
        saved
    }

    /// The data of a file, if this node was told it.
    pub fn material(&self, file: &FileRef) -> Option<&MaterialRecord> {
        self.materials.get(&(file.material, file.version))
    }

    fn insert(&mut self, assignment: Assignment) {
        match assignment {
            Assignment::Task(task) => _ = self.tasks.insert(task.id, *task),
            Assignment::Network(network) => _ = self.networks.insert(network.id, network),
            Assignment::Endpoint(endpoint) => {
                self.endpoints
                    .insert((endpoint.network, endpoint.task), endpoint);
            }
            Assignment::Service(service) => {
                self.services
                    .insert((service.network, service.service), service);
            }
            Assignment::Published(port) => {
                self.published.insert((port.protocol, port.port), port);
            }
            Assignment::Peer(peer) => _ = self.peers.insert(peer.node, peer),
            Assignment::Material(record) => {
                self.materials.insert((record.id, record.version), record);
            }
            // Never here, where it would be saved: see `keys`.
            Assignment::Tunnel(_) | Assignment::Epochs(_) => {}
        }
    }

    fn remove(&mut self, key: AssignmentKey) {
        match key {
            AssignmentKey::Task(id) => _ = self.tasks.remove(&id),
            AssignmentKey::Network(id) => _ = self.networks.remove(&id),
            AssignmentKey::Endpoint(network, task) => _ = self.endpoints.remove(&(network, task)),
            AssignmentKey::Service(network, id) => _ = self.services.remove(&(network, id)),
            AssignmentKey::Published(protocol, port) => {
                self.published.remove(&(protocol, port));
            }
            AssignmentKey::Peer(node) => _ = self.peers.remove(&node),
            AssignmentKey::Material(id, version) => _ = self.materials.remove(&(id, version)),
            AssignmentKey::Tunnel(_) | AssignmentKey::Epochs => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: u32) -> Assignment {
        Assignment::Network(NetworkRecord {
            id: NetworkId::from_entropy(n.into()),
            name: format!("net{n}").parse().unwrap(),
            vni: n.try_into().unwrap(),
            subnet: "10.0.1.0/24".parse().unwrap(),
            internal: false,
            encrypted: false,
        })
    }

    fn step(revision: u64, snapshot: bool, upserts: Vec<Assignment>) -> Assignments {
        Assignments {
            revision,
            snapshot,
            upserts,
            removals: Vec::new(),
            managers: Vec::new(),
        }
    }

    #[test]
    fn deltas_add_up_and_a_snapshot_begins_anew() {
        let one = Desired::default().after(step(1, true, vec![network(1)]));
        let two = one.after(step(2, false, vec![network(2)]));
        assert_eq!((two.revision, two.networks.len()), (2, 2));
        let removal = Assignments {
            removals: vec![AssignmentKey::Network(NetworkId::from_entropy(1))],
            ..step(3, false, vec![])
        };
        assert_eq!(two.after(removal).networks.len(), 1);
        assert_eq!(two.after(step(4, true, vec![])).networks.len(), 0);
    }

    #[test]
    fn a_snapshot_of_it_leads_back_to_it() {
        let desired = Desired::default().after(step(1, true, vec![network(1), network(2)]));
        assert_eq!(Desired::default().after(desired.to_snapshot()), desired);
    }
}
