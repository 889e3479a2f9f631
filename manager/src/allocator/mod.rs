//! Who gets which number: addresses, subnets, VXLAN identifiers, ports, node numbers.
//!
//! All choices are pure functions of a view. Two managers may choose alike at the same moment; the
//! store's claims let one of them win, and the other chooses again.

mod ipam;
mod number;
mod plan;
mod port;
mod service;

#[cfg(test)]
mod tests;

pub use ipam::choose_address;
pub use ipam::choose_subnet;
pub use number::choose_node_number;
pub use number::choose_vni;
pub use plan::Allocator;
pub use plan::plan;
pub use port::check_host_ports;
pub use port::choose_ports;
pub use service::plan_services;

use ipnet::IpNet;
use weft_proto::Name;
use weft_proto::spec::Protocol;

/// Why there is nothing to give, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// Every address of a network is in use.
    #[error(
        "network {network} ({subnet}) has no free address left: remove tasks or services from it, or make a network with a larger --subnet"
    )]
    Addresses {
        /// The network's name.
        network: Name,
        /// Its subnet.
        subnet: IpNet,
    },
    /// No subnet of the wanted size is free.
    #[error(
        "no free /{prefix} is left in the cluster's address pools: name a --subnet of your own"
    )]
    Subnets {
        /// The prefix length looked for.
        prefix: u8,
    },
    /// An asked-for subnet contains a node.
    #[error(
        "subnet {subnet} contains {addr}, the address of node {node}: tasks could not reach it; choose another --subnet"
    )]
    SubnetHoldsNode {
        /// The subnet.
        subnet: IpNet,
        /// The node's address.
        addr: std::net::IpAddr,
        /// The node's host name.
        node: String,
    },
    /// An asked-for subnet overlaps the ingress pool.
    #[error("subnet {subnet} overlaps the ingress pool {pool}: choose another --subnet")]
    SubnetInIngress {
        /// The subnet.
        subnet: IpNet,
        /// The pool.
        pool: IpNet,
    },
    /// All 16 million identifiers are given away.
    #[error("no VXLAN identifier is left: remove networks")]
    Vnis,
    /// An asked-for port belongs to another service.
    #[error(
        "port {port}/{protocol} is published by service {holder} already: choose another one or remove it there"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// Who has it.
        holder: String,
    },
    /// All automatic ports are given away.
    #[error("no port out of 30000-32767 is left: name one with --publish PORT:TARGET")]
    Ports,
    /// The ingress pool is given away.
    #[error(
        "the ingress pool {pool} has room for {room} nodes, and all of it is given away: remove nodes that are gone (weft node rm)"
    )]
    Nodes {
        /// The pool.
        pool: ipnet::Ipv4Net,
        /// How many nodes fit.
        room: u32,
    },
    /// Not given before the cluster exists.
    #[error("the cluster has no state yet")]
    NoCluster,
}
