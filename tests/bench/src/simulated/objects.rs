//! Nodes and services of a simulated cluster.
//!
//! Made by way of the wire types, whose defaults stand for every field that a newer version adds.

use anyhow::Context;
use std::net::Ipv4Addr;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::object::Node;
use weft_proto::object::Service;
use weft_proto::wire;

/// The address of a simulated machine: in the range set aside for benchmarks (RFC 2544), of which
/// nothing is ever sent to.
pub(crate) fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

/// A machine like `first`, under another number; a manager when it has a place in the log.
pub(crate) fn worker(first: &Node, number: u16, raft_id: Option<u64>) -> anyhow::Result<Node> {
    let mut node = wire::Node::from(first);
    let addr = address(number);
    node.id = NodeId::from_entropy(u128::from(number)).to_string();
    node.number = number.into();
    node.data_addr = addr.to_string();
    node.manager = raft_id.map(|raft_id| wire::ManagerStatus {
        raft_id,
        addr: format!("{addr}:2377"),
    });
    let description = node.description.get_or_insert_default();
    description.hostname = format!("sim-{number}");
    let spec = node.spec.get_or_insert_default();
    let (role, availability) = match raft_id {
        // Managers run no tasks here, so that all nodes with tasks are alike.
        Some(_) => (wire::NodeRole::Manager, wire::Availability::Drain),
        None => (wire::NodeRole::Worker, wire::Availability::Active),
    };
    spec.role = role.into();
    spec.availability = availability.into();
    let status = node.status.get_or_insert_default();
    status.state = wire::NodeState::Ready.into();
    Node::try_from(node).context("a simulated node")
}

/// A service of so many tasks without networks or ports.
pub(crate) fn service(number: u32, replicas: u32) -> anyhow::Result<Service> {
    let spec = wire::ServiceSpec {
        name: format!("sim-{number}"),
        task: Some(wire::TaskSpec {
            runtime: wire::Runtime::Process.into(),
            command: vec!["sleep".to_owned(), "infinity".to_owned()],
            env: vec!["MODE=benchmark".to_owned()],
            ..Default::default()
        }),
        replicated: Some(wire::ReplicatedMode { replicas }),
        ..Default::default()
    };
    let service = wire::Service {
        id: ServiceId::from_entropy(rand::random()).to_string(),
        spec: Some(spec),
        ..Default::default()
    };
    Service::try_from(service).context("a simulated service")
}
