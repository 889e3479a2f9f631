//! What a node must know, and nothing else. Pure.

use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Backend;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::PeerRecord;
use weft_proto::assignment::PublishedRecord;
use weft_proto::assignment::ServiceRecord;
use weft_proto::object::NodeState;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::Port;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

/// All that one node must know.
pub(super) type Part = BTreeMap<AssignmentKey, Assignment>;

/// What `node` must know: its own tasks, ended ones too; the networks that those which have not
/// ended attach to, with every endpoint and service there; and, because every node answers every
/// published port, all of those and all nodes. Nothing of other networks.
pub fn assignments_for(view: &State, node: NodeId) -> BTreeMap<AssignmentKey, Assignment> {
    let own: BTreeSet<NetworkId> = view
        .tasks_of_node(node)
        .filter(|task| !task.status.state.is_terminal())
        .flat_map(|task| task.addresses.keys().copied())
        .collect();
    let tasks = view
        .tasks_of_node(node)
        .filter(|task| task.status.state >= TaskState::Assigned)
        .map(|task| Assignment::Task(Box::new(Task::clone(task))));
    let networks = own.iter().filter_map(|id| network(view, *id));
    let endpoints = endpoints(view, &own);
    let services = own.iter().flat_map(|id| services(view, *id));
    tasks
        .chain(networks)
        .chain(endpoints)
        .chain(services)
        .chain(published(view))
        .chain(peers(view))
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

fn network(view: &State, id: NetworkId) -> Option<Assignment> {
    let network = view.network(id)?;
    Some(Assignment::Network(NetworkRecord {
        id,
        name: network.spec.name.clone(),
        vni: network.vni,
        subnet: network.subnet,
        internal: network.spec.internal,
    }))
}

fn endpoints<'a>(
    view: &'a State,
    own: &'a BTreeSet<NetworkId>,
) -> impl Iterator<Item = Assignment> + 'a {
    // A node without networks, such as a manager that runs nothing, need not look at any task.
    let tasks = (!own.is_empty()).then(|| view.tasks());
    tasks
        .into_iter()
        .flatten()
        .filter(|task| !task.status.state.is_terminal())
        .filter_map(|task| Some((task, view.node(task.node?)?)))
        .flat_map(move |(task, node)| {
            task.addresses
                .iter()
                .filter(|(network, _)| own.contains(network))
                .map(move |(network, addr)| {
                    Assignment::Endpoint(EndpointRecord {
                        network: *network,
                        task: task.id,
                        service: task.service,
                        name: task.name(),
                        addr: *addr,
                        node: node.id,
                        node_data_addr: node.data_addr,
                        ready: is_ready(task, node.status.state),
                    })
                })
        })
}

/// Takes new connections: runs, is to go on running, and is not known to be out of reach. A node
/// that nobody heard of yet (`Unknown`) reported the task itself, so it is in reach.
fn is_ready(task: &Task, node: NodeState) -> bool {
    task.status.state == TaskState::Running
        && task.desired == DesiredState::Running
        && node != NodeState::Down
}

fn services(view: &State, network: NetworkId) -> impl Iterator<Item = Assignment> {
    view.services().filter_map(move |service| {
        let reference = service
            .spec
            .task
            .networks
            .iter()
            .find(|reference| reference.id == network)?;
        Some(Assignment::Service(ServiceRecord {
            network,
            service: service.id,
            name: service.spec.name.clone(),
            aliases: reference.aliases.clone(),
            vip: service.vips.get(&network).copied(),
        }))
    })
}

fn published(view: &State) -> impl Iterator<Item = Assignment> {
    view.services().flat_map(move |service| {
        service.ports.iter().filter_map(move |port| {
            Some(Assignment::Published(PublishedRecord {
                protocol: port.protocol,
                port: port.published?,
                service_name: service.spec.name.clone(),
                backends: backends(view, service, port),
            }))
        })
    })
}

fn backends(view: &State, service: &Service, port: &Port) -> Vec<Backend> {
    view.tasks_of_service(service.id)
        .filter(|task| {
            let node = task.node.and_then(|id| view.node(id));
            node.is_some_and(|node| is_ready(task, node.status.state))
        })
        .filter_map(|task| {
            Some(Backend {
                task: task.id,
                addr: task.ingress_addr?,
                port: port.target,
            })
        })
        .collect()
}

fn peers(view: &State) -> impl Iterator<Item = Assignment> {
    let pool = view.cluster().map(|cluster| cluster.settings.ingress_pool);
    view.nodes().filter_map(move |node| {
        Some(Assignment::Peer(PeerRecord {
            node: node.id,
            hostname: node.description.hostname.clone(),
            number: node.number,
            data_addr: node.data_addr,
            ingress_pool: pool?,
        }))
    })
}
