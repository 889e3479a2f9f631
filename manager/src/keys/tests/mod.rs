mod life;
mod pairs;
mod plan;

use crate::fixture::*;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;

/// A ready node that can encrypt, and told its public key.
fn keyed(n: u16) -> Node {
    let mut node = node(n);
    node.description.encrypts = true;
    node.tunnel_key = Some(tunnel_key(n));
    node
}

fn encrypted(n: u8) -> Network {
    let mut network = network(n);
    network.spec.encrypted = true;
    network
}

/// A task that runs on a node and has an address on each of these networks.
fn on(n: u8, node: u16, networks: &[u8]) -> Task {
    let mut task = task(n.into(), &service(1, 1))
        .slot(n.into())
        .on(&crate::fixture::node(node))
        .state(TaskState::Running);
    for network in networks {
        let addr = IpAddr::V4(Ipv4Addr::new(10, 0, *network, 2 + n));
        task.addresses.insert(network_id((*network).into()), addr);
    }
    task
}
