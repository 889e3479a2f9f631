//! What this node's networks and tasks need, out of what a manager told. Pure.

use super::mac_of;
use super::sight;
use super::sight::Sights;
use crate::desired::Desired;
use crate::dns::DnsTable;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use weft_kernel::netlink::Mac;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::addr::Vni;
use weft_proto::assignment::NetworkRecord;
use weft_proto::object::Task;

/// What a node must know of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Here {
    /// Which node this is.
    pub node: NodeId,
    /// Where it receives VXLAN packets.
    pub data_addr: IpAddr,
    /// Largest packet in bytes that fits into a VXLAN packet of the underlay.
    pub mtu: u32,
}

/// A task's connection to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// A network on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Which network.
    pub id: NetworkId,
    /// Its identifier on the wire.
    pub vni: Vni,
    /// Source of the outer packets.
    pub local: IpAddr,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// The tasks attached here.
    pub ports: BTreeMap<TaskId, Port>,
    /// The tasks elsewhere, and where their nodes receive VXLAN packets.
    pub remotes: BTreeMap<IpAddr, IpAddr>,
}

/// A link of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLink {
    /// To which network.
    pub network: NetworkId,
    /// `eth<index>`: the order of the networks in the task's spec.
    pub index: usize,
    /// The address, and the subnet that is reached by this link.
    pub address: IpNet,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Largest packet in bytes.
    pub mtu: u32,
}

/// A task's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNet {
    /// Whose.
    pub id: TaskId,
    /// Its links.
    pub links: Vec<TaskLink>,
    /// What it sees of others on its networks.
    pub sight: Sight,
    /// Whether it may ask for names outside the cluster: not when all its networks are internal.
    pub asks_outside: bool,
}

/// What a task sees of others. Tasks on the same networks share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The virtual addresses it can reach, each with the backends that take new connections.
    pub vips: Arc<BTreeMap<IpAddr, Vec<IpAddr>>>,
    /// The names it can see.
    pub names: Arc<DnsTable>,
}

/// Everything this node needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Networks with at least one task here.
    pub overlays: BTreeMap<NetworkId, Overlay>,
    /// The active tasks that are known, or why one cannot be connected yet.
    pub tasks: BTreeMap<TaskId, Result<TaskNet, NotYet>>,
}

/// Why a task cannot be connected yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// The allocator gave it no address.
    #[error("the task has no address on network {0} yet")]
    Address(NetworkId),
    /// The network was not told.
    #[error("network {0} is not known on this node yet")]
    Network(NetworkId),
    /// An address outside its network.
    #[error("address {1} is not part of network {0}")]
    Foreign(NetworkId, IpAddr),
}

/// What `tasks` need, on `networks`, given the endpoints and services of `desired`.
///
/// Tasks and networks are handed in apart from `desired`, because a task that is still stopping
/// needs its network even when the cluster has forgotten both.
pub fn wanted(
    here: &Here,
    tasks: &BTreeMap<TaskId, Task>,
    networks: &BTreeMap<NetworkId, NetworkRecord>,
    desired: &Desired,
) -> Wanted {
    let mut wanted = Wanted::default();
    let mut sights = Sights::new(desired, networks);
    for task in tasks.values() {
        let net =
            links(here, task, networks).map(|links| task_net(task, links, networks, &mut sights));
        if let Ok(net) = &net {
            for link in &net.links {
                let Some(network) = networks.get(&link.network) else {
                    continue;
                };
                let overlay = wanted
                    .overlays
                    .entry(network.id)
                    .or_insert_with(|| overlay(here, network, desired));
                let ip = link.address.addr();
                overlay.remotes.remove(&ip);
                overlay.ports.insert(task.id, Port { ip, mac: link.mac });
            }
        }
        wanted.tasks.insert(task.id, net);
    }
    wanted
}

fn overlay(here: &Here, network: &NetworkRecord, desired: &Desired) -> Overlay {
    let elsewhere = sight::on(desired, network.id).filter(|endpoint| endpoint.node != here.node);
    Overlay {
        id: network.id,
        vni: network.vni,
        local: here.data_addr,
        mtu: here.mtu,
        ports: BTreeMap::new(),
        remotes: elsewhere
            .map(|endpoint| (endpoint.addr, endpoint.node_data_addr))
            .collect(),
    }
}

fn links(
    here: &Here,
    task: &Task,
    networks: &BTreeMap<NetworkId, NetworkRecord>,
) -> Result<Vec<TaskLink>, NotYet> {
    let attached = task.spec.networks.iter().enumerate();
    attached
        .map(|(index, attached)| {
            let id = attached.id;
            let ip = *task.addresses.get(&id).ok_or(NotYet::Address(id))?;
            let subnet = networks.get(&id).ok_or(NotYet::Network(id))?.subnet;
            let fits = subnet.contains(&ip);
            let address = IpNet::new(ip, subnet.prefix_len()).ok().filter(|_| fits);
            Ok(TaskLink {
                network: id,
                index,
                address: address.ok_or(NotYet::Foreign(id, ip))?,
                mac: mac_of(ip),
                mtu: here.mtu,
            })
        })
        .collect()
}

fn task_net(
    task: &Task,
    links: Vec<TaskLink>,
    networks: &BTreeMap<NetworkId, NetworkRecord>,
    sights: &mut Sights<'_>,
) -> TaskNet {
    let ids: BTreeSet<_> = links.iter().map(|link| link.network).collect();
    let mut known = ids.iter().filter_map(|id| networks.get(id));
    TaskNet {
        id: task.id,
        asks_outside: ids.is_empty() || known.any(|network| !network.internal),
        sight: sights.of(ids),
        links,
    }
}
