//! What belongs to one object at a time: names, ports, addresses, numbers.
//!
//! Claims are checked inside `apply`, on every replica alike. So two managers that decide at the same
//! moment can never give one address to two tasks: the second transaction is refused.

use crate::store::item::Item;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use weft_proto::Name;
use weft_proto::NetworkId;
use weft_proto::ServiceId;
use weft_proto::addr::NodeNumber;
use weft_proto::addr::Vni;
use weft_proto::key::TunnelKey;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::MaterialName;
use weft_proto::spec::Protocol;

/// Something that one object has for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// A network's name.
    NetworkName(Name),
    /// A service's name.
    ServiceName(Name),
    /// A person's name.
    UserName(Name),
    /// A port of the routing mesh.
    PublishedPort(Protocol, u16),
    /// A port that single nodes answer for their tasks. Several services may have the same one;
    /// it is nobody's port of the routing mesh meanwhile.
    HostPort(Protocol, u16, ServiceId),
    /// A network's identifier on the wire.
    Vni(Vni),
    /// An address on a network: a task's, or a service's virtual one.
    Address(NetworkId, IpAddr),
    /// A node's slice of the ingress pool.
    NodeNumber(NodeNumber),
    /// A manager's identity in the log.
    RaftId(u64),
    /// A task's address in the ingress pool.
    IngressAddress(Ipv4Addr),
    /// A name of a secret or a config.
    MaterialName(MaterialKind, MaterialName),
    /// A node's public key: with another's, a node could take that one's packets.
    TunnelKey(TunnelKey),
}

impl Claim {
    /// The address, if it is one of a network.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Claim::Address(_, addr) => Some(*addr),
            Claim::NetworkName(_)
            | Claim::ServiceName(_)
            | Claim::UserName(_)
            | Claim::PublishedPort(..)
            | Claim::HostPort(..)
            | Claim::Vni(_)
            | Claim::NodeNumber(_)
            | Claim::RaftId(_)
            | Claim::IngressAddress(_)
            | Claim::MaterialName(..)
            | Claim::TunnelKey(_) => None,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::NetworkName(name) => write!(f, "the network name {name}"),
            Claim::ServiceName(name) => write!(f, "the service name {name}"),
            Claim::UserName(name) => write!(f, "the user name {name}"),
            Claim::PublishedPort(protocol, port) | Claim::HostPort(protocol, port, _) => {
                write!(f, "port {port}/{protocol}")
            }
            Claim::Vni(vni) => write!(f, "VXLAN identifier {vni}"),
            Claim::Address(_, addr) => write!(f, "address {addr}"),
            Claim::NodeNumber(number) => write!(f, "node number {number}"),
            Claim::RaftId(id) => write!(f, "raft id {id}"),
            Claim::IngressAddress(addr) => write!(f, "ingress address {addr}"),
            Claim::MaterialName(kind, name) => write!(f, "the {kind} name {name}"),
            Claim::TunnelKey(key) => write!(f, "the tunnel key {key}"),
        }
    }
}

/// What an object has for itself. A task that ended has nothing any more.
pub(super) fn claims_of(item: &Item) -> Vec<Claim> {
    match item {
        Item::Cluster(_) | Item::KeyRing(_) | Item::JoinToken(_) => Vec::new(),
        Item::Node(node) => {
            let raft = node.manager.map(|manager| Claim::RaftId(manager.raft_id));
            [Claim::NodeNumber(node.number)]
                .into_iter()
                .chain(raft)
                .chain(node.tunnel_key.map(Claim::TunnelKey))
                .collect()
        }
        Item::Network(network) => {
            vec![
                Claim::NetworkName(network.spec.name.clone()),
                Claim::Vni(network.vni),
            ]
        }
        Item::Service(service) => {
            let name = Claim::ServiceName(service.spec.name.clone());
            let vips = service
                .vips
                .iter()
                .map(|(network, vip)| Claim::Address(*network, *vip));
            let ports = service
                .ports
                .iter()
                .filter_map(|port| Some(Claim::PublishedPort(port.protocol, port.published?)));
            let host_ports = service.spec.task.host_ports.iter();
            let host_ports =
                host_ports.map(|port| Claim::HostPort(port.protocol, port.published, service.id));
            [name]
                .into_iter()
                .chain(vips)
                .chain(ports)
                .chain(host_ports)
                .collect()
        }
        Item::User(user) => vec![Claim::UserName(user.name.clone())],
        Item::Material(material) => {
            let name = material.spec.name.clone();
            vec![Claim::MaterialName(material.kind, name)]
        }
        Item::Task(task) if task.status.state.is_terminal() => Vec::new(),
        Item::Task(task) => {
            let addresses = task
                .addresses
                .iter()
                .map(|(net, addr)| Claim::Address(*net, *addr));
            addresses
                .chain(task.ingress_addr.map(Claim::IngressAddress))
                .collect()
        }
    }
}
