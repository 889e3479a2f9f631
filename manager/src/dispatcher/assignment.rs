//! What a node must know, and nothing else. Pure.

use crate::keys::Tunnels;
use crate::store::Claim;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use weft_proto::MaterialId;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Backend;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::MaterialRecord;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::PeerRecord;
use weft_proto::assignment::PublishedRecord;
use weft_proto::assignment::ServiceRecord;
use weft_proto::object::NodeState;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::Protocol;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

/// What `node` must know: its own tasks, ended ones too; the secrets and configs of those which have
/// not ended; the networks that those attach to, with every endpoint and service there; and, because
/// every node answers every published port, all of those and all nodes; and keys of the pairs that it
/// is one of. Nothing of other networks.
pub fn assignments_for(view: &State, node: NodeId) -> BTreeMap<AssignmentKey, Assignment> {
    let own = networks_of(view, node);
    let networks = own.iter().flat_map(|id| of_network(view, *id));
    let materials = materials_of(view, node);
    let materials = materials.iter().filter_map(|of| material(view, *of));
    let tunnels = Tunnels::of(view, node);
    tasks(view, node)
        .chain(networks)
        .chain(materials)
        .chain(common(view))
        .chain(tunnels.iter().flat_map(Tunnels::all))
        .map(|assignment| (assignment.key(), assignment))
        .collect()
}

/// Where managers are reached, in order of their nodes' ids.
pub(super) fn managers(view: &State) -> Vec<SocketAddr> {
    view.nodes()
        .filter_map(|node| node.manager.map(|manager| manager.addr))
        .collect()
}

/// What must be told to somebody who knows `old` so that they know `new`: pieces that are new or
/// changed, and keys of those that are no more.
pub fn diff(
    old: &BTreeMap<AssignmentKey, Assignment>,
    new: &BTreeMap<AssignmentKey, Assignment>,
) -> (Vec<Assignment>, Vec<AssignmentKey>) {
    let upserts = new
        .iter()
        .filter(|(key, assignment)| old.get(key) != Some(assignment))
        .map(|(_, assignment)| assignment.clone())
        .collect();
    let removals = old
        .keys()
        .filter(|key| !new.contains_key(key))
        .copied()
        .collect();
    (upserts, removals)
}

/// The networks that a node's tasks attach to.
pub(super) fn networks_of(view: &State, node: NodeId) -> BTreeSet<NetworkId> {
    view.tasks_of_node(node)
        .filter(|task| place(task).is_some() && !task.status.state.is_terminal())
        .flat_map(|task| task.addresses.keys().copied())
        .collect()
}

/// A version of a secret or config.
pub(super) type Version = (MaterialId, u64);

/// The secrets and configs that a node's tasks use, until they have ended.
pub(super) fn materials_of(view: &State, node: NodeId) -> BTreeSet<Version> {
    view.tasks_of_node(node)
        .filter(|task| place(task).is_some() && !task.status.state.is_terminal())
        .flat_map(|task| &task.spec.files)
        .map(|file| (file.material, file.version))
        .collect()
}

/// A secret or config in one version.
pub(super) fn material(view: &State, (id, number): Version) -> Option<Assignment> {
    let material = view.material(id)?;
    Some(Assignment::Material(MaterialRecord {
        kind: material.kind,
        id,
        version: number,
        name: material.spec.name.clone(),
        template: material.spec.template,
        data: material.versions.get(&number)?.data.clone(),
    }))
}

/// The node that has a task. One that only belongs on a node is not there before it is assigned.
pub(super) fn place(task: &Task) -> Option<NodeId> {
    task.node
        .filter(|_| task.status.state >= TaskState::Assigned)
}

/// A node's own tasks.
pub(super) fn tasks(view: &State, node: NodeId) -> impl Iterator<Item = Assignment> {
    let own = view.tasks_of_node(node);
    own.filter(|task| place(task).is_some())
        .map(|task| Assignment::Task(Box::new(Task::clone(task))))
}

/// Everything about a network: itself, its endpoints, its services.
pub(super) fn of_network(view: &State, id: NetworkId) -> impl Iterator<Item = Assignment> {
    let endpoints = view
        .tasks_of_network(id)
        .filter_map(move |task| endpoint(view, task, id));
    let services = view.services().filter_map(move |found| service(found, id));
    network(view, id)
        .into_iter()
        .chain(endpoints)
        .chain(services)
}

/// What every node knows: published ports and all nodes.
pub(super) fn common(view: &State) -> impl Iterator<Item = Assignment> {
    let ports = view.services().flat_map(|service| &service.ports);
    let published = ports.filter_map(|port| published(view, port.protocol, port.published?));
    published.chain(view.nodes().filter_map(|node| peer(view, node.id)))
}

/// A network itself.
pub(super) fn network(view: &State, id: NetworkId) -> Option<Assignment> {
    let network = view.network(id)?;
    Some(Assignment::Network(NetworkRecord {
        id,
        name: network.spec.name.clone(),
        vni: network.vni,
        subnet: network.subnet,
        internal: network.spec.internal,
        encrypted: network.spec.encrypted,
    }))
}

/// A task on one of its networks; `None` while it has no node, and when it has ended.
pub(super) fn endpoint(view: &State, task: &Task, network: NetworkId) -> Option<Assignment> {
    if task.status.state.is_terminal() {
        return None;
    }
    let node = view.node(place(task)?)?;
    Some(Assignment::Endpoint(EndpointRecord {
        network,
        task: task.id,
        service: task.service,
        name: task.name(),
        addr: *task.addresses.get(&network)?,
        node: node.id,
        node_data_addr: node.data_addr,
        ready: is_ready(task, node.status.state),
    }))
}

/// Takes new connections: runs, is to go on running, and is not known to be out of reach. A node
/// that nobody heard of yet (`Unknown`) reported the task itself, so it is in reach.
fn is_ready(task: &Task, node: NodeState) -> bool {
    task.status.state == TaskState::Running
        && task.desired == DesiredState::Running
        && node != NodeState::Down
}

/// A service on one of its networks.
pub(super) fn service(service: &Service, network: NetworkId) -> Option<Assignment> {
    let mut references = service.spec.task.networks.iter();
    let reference = references.find(|reference| reference.id == network)?;
    Some(Assignment::Service(ServiceRecord {
        network,
        service: service.id,
        name: service.spec.name.clone(),
        aliases: reference.aliases.clone(),
        vip: service.vips.get(&network).copied(),
    }))
}

/// A port of the routing mesh.
pub(super) fn published(view: &State, protocol: Protocol, number: u16) -> Option<Assignment> {
    let holder = view.holder(&Claim::PublishedPort(protocol, number))?;
    let ObjectKey::Service(id) = holder else {
        return None;
    };
    let service = view.service(id)?;
    let mut ports = service.ports.iter();
    let port = ports.find(|port| port.protocol == protocol && port.published == Some(number))?;
    let backend = |task: &Arc<Task>| {
        Some(Backend {
            task: task.id,
            addr: backend(view, task)?,
            port: port.target,
        })
    };
    Some(Assignment::Published(PublishedRecord {
        protocol,
        port: number,
        service_name: service.spec.name.clone(),
        backends: view.tasks_of_service(id).filter_map(backend).collect(),
    }))
}

/// Where a task takes connections from outside, while it does.
pub(super) fn backend(view: &State, task: &Task) -> Option<Ipv4Addr> {
    let node = view.node(place(task)?)?;
    task.ingress_addr
        .filter(|_| is_ready(task, node.status.state))
}

/// A node.
pub(super) fn peer(view: &State, id: NodeId) -> Option<Assignment> {
    let node = view.node(id)?;
    Some(Assignment::Peer(PeerRecord {
        node: node.id,
        hostname: node.description.hostname.clone(),
        number: node.number,
        data_addr: node.data_addr,
        ingress_pool: view.cluster()?.settings.ingress_pool,
    }))
}
