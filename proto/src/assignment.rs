//! What a node's agent is told: the part of the state that its tasks need.

use crate::addr::NodeNumber;
use crate::addr::Vni;
use crate::id::MaterialId;
use crate::id::NetworkId;
use crate::id::NodeId;
use crate::id::ServiceId;
use crate::id::TaskId;
use crate::key::SecretKey;
use crate::key::TunnelKey;
use crate::name::Name;
use crate::object::Data;
use crate::object::Task;
use crate::spec::MaterialKind;
use crate::spec::MaterialName;
use crate::spec::Protocol;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

/// One piece of what an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// A task of its own.
    Task(Box<Task>),
    /// A network that one of its tasks attaches to.
    Network(NetworkRecord),
    /// A task anywhere on such a network.
    Endpoint(EndpointRecord),
    /// A service on such a network.
    Service(ServiceRecord),
    /// A port of the routing mesh.
    Published(PublishedRecord),
    /// A node of the routing mesh (itself too).
    Peer(PeerRecord),
    /// A secret or config that one of its tasks finds as a file.
    Material(MaterialRecord),
    /// Another node on an encrypted network that one of its tasks attaches to.
    Tunnel(TunnelRecord),
    /// Which keys of its tunnels count.
    Epochs(EpochsRecord),
}

/// Which piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignmentKey {
    /// A task.
    Task(TaskId),
    /// A network.
    Network(NetworkId),
    /// A task on a network.
    Endpoint(NetworkId, TaskId),
    /// A service on a network.
    Service(NetworkId, ServiceId),
    /// A port of the routing mesh.
    Published(Protocol, u16),
    /// A node.
    Peer(NodeId),
    /// A version of a secret or config.
    Material(MaterialId, u64),
    /// The tunnel to a node.
    Tunnel(NodeId),
    /// Which keys of tunnels count.
    Epochs,
}

impl Assignment {
    /// Which piece this is.
    pub fn key(&self) -> AssignmentKey {
        match self {
            Assignment::Task(task) => AssignmentKey::Task(task.id),
            Assignment::Network(network) => AssignmentKey::Network(network.id),
            Assignment::Endpoint(endpoint) => {
                AssignmentKey::Endpoint(endpoint.network, endpoint.task)
            }
            Assignment::Service(service) => {
                AssignmentKey::Service(service.network, service.service)
            }
            Assignment::Published(published) => {
                AssignmentKey::Published(published.protocol, published.port)
            }
            Assignment::Peer(peer) => AssignmentKey::Peer(peer.node),
            Assignment::Material(record) => AssignmentKey::Material(record.id, record.version),
            Assignment::Tunnel(tunnel) => AssignmentKey::Tunnel(tunnel.node),
            Assignment::Epochs(_) => AssignmentKey::Epochs,
        }
    }
}

/// A network, as far as an agent must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRecord {
    /// Which network.
    pub id: NetworkId,
    /// Its name.
    pub name: Name,
    /// Its identifier on the wire.
    pub vni: Vni,
    /// Its addresses.
    pub subnet: IpNet,
    /// No way out of the cluster.
    pub internal: bool,
    /// Encrypted between nodes: a node that cannot do that must not carry it.
    pub encrypted: bool,
}

/// A task on a network, wherever it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRecord {
    /// On which network.
    pub network: NetworkId,
    /// Which task.
    pub task: TaskId,
    /// Of which service.
    pub service: ServiceId,
    /// What people call it: `web.1`.
    pub name: String,
    /// Its address on this network.
    pub addr: IpAddr,
    /// Where it runs.
    pub node: NodeId,
    /// Where that node receives VXLAN packets.
    pub node_data_addr: IpAddr,
    /// Takes new connections.
    pub ready: bool,
}

/// A service on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// On which network.
    pub network: NetworkId,
    /// Which service.
    pub service: ServiceId,
    /// Its name.
    pub name: Name,
    /// More names of it on this network.
    pub aliases: Vec<Name>,
    /// Its virtual address; `None`: DNS round robin.
    pub vip: Option<IpAddr>,
}

/// Where a connection to a published port may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Which task.
    pub task: TaskId,
    /// Its address in the ingress pool.
    pub addr: Ipv4Addr,
    /// Where it listens.
    pub port: u16,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRecord {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where every node listens.
    pub port: u16,
    /// Whose it is.
    pub service_name: Name,
    /// The tasks that take new connections.
    pub backends: Vec<Backend>,
}

/// A node of the routing mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Which node.
    pub node: NodeId,
    /// Its host name.
    pub hostname: String,
    /// Which /24 of the ingress pool is its own.
    pub number: NodeNumber,
    /// Where it receives VXLAN packets.
    pub data_addr: IpAddr,
    /// The pool that its slice is part of.
    pub ingress_pool: Ipv4Net,
}

/// One version of a secret or config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialRecord {
    /// Secret or config.
    pub kind: MaterialKind,
    /// Which.
    pub id: MaterialId,
    /// Which version of its data.
    pub version: u64,
    /// Its name, for people.
    pub name: MaterialName,
    /// Placeholders in its data are to be filled in.
    pub template: bool,
    /// The bytes.
    pub data: Data,
}

/// Another node that shares an encrypted network with the one that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelRecord {
    /// Which node.
    pub node: NodeId,
    /// What is encrypted to it with.
    pub public_key: TunnelKey,
    /// Where it receives packets.
    pub data_addr: IpAddr,
    /// The keys of this very pair, by epoch.
    pub keys: BTreeMap<u64, SecretKey>,
}

/// Which keys count, of all tunnels of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochsRecord {
    /// The epoch that new handshakes use.
    pub active: u64,
    /// The newest epoch: the same, or one that is being distributed.
    pub newest: u64,
}

/// A step of what an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignments {
    /// The revision of the state that the agent knows its part of after this step.
    pub revision: u64,
    /// Replaces everything told before, instead of changing it.
    pub snapshot: bool,
    /// New or changed pieces.
    pub upserts: Vec<Assignment>,
    /// Pieces that are no more.
    pub removals: Vec<AssignmentKey>,
    /// Where managers are reached.
    pub managers: Vec<SocketAddr>,
}
