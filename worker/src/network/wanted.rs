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
    /// The network is encrypted. Until this node can do that, it carries nothing of it: never in
    /// clear text.
    #[error("network {0} is encrypted, and this node cannot encrypt")]
    Encrypted(NetworkId),
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
            let network = networks.get(&id).ok_or(NotYet::Network(id))?;
            if network.encrypted {
                return Err(NotYet::Encrypted(id));
            }
            let subnet = network.subnet;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixture::Cluster;
    use crate::network::fixture::data_addr;
    use crate::network::fixture::ip;
    use crate::network::fixture::network;
    use crate::network::fixture::node;

    fn wanted_of(cluster: &Cluster) -> Wanted {
        let here = Here {
            node: node(1),
            data_addr: data_addr(1),
            mtu: 1450,
        };
        let desired = &cluster.desired;
        wanted(&here, &desired.tasks, &desired.networks, desired)
    }

    fn cluster() -> Cluster {
        let mut cluster = Cluster::of(&[
            ("ask.1", 1, &[(2, "10.5.2.2"), (1, "10.5.1.2")]),
            ("web.1", 1, &[(1, "10.5.1.3")]),
            ("web.2", 2, &[(1, "10.5.1.4")]),
            ("far.1", 2, &[(3, "10.5.3.2")]),
        ]);
        cluster.serve("web", 1, Some("10.5.1.100"));
        cluster.serve("far", 3, Some("10.5.3.100"));
        cluster
    }

    #[test]
    fn a_network_is_here_when_a_task_of_it_is_and_knows_who_is_elsewhere() {
        let wanted = wanted_of(&cluster());
        let ids: Vec<_> = wanted.overlays.keys().copied().collect();
        assert_eq!(ids, [network(1), network(2)]);
        let overlay = &wanted.overlays[&network(1)];
        assert_eq!(overlay.ports.len(), 2);
        assert_eq!(
            overlay.remotes,
            BTreeMap::from([(ip("10.5.1.4"), data_addr(2))])
        );
    }

    #[test]
    fn links_follow_the_order_of_the_spec() {
        let cluster = cluster();
        let wanted = wanted_of(&cluster);
        let task = wanted.tasks[&cluster.task("ask.1")].clone().unwrap();
        let links: Vec<_> = task
            .links
            .iter()
            .map(|link| (link.index, link.address.to_string()))
            .collect();
        assert_eq!(
            links,
            [(0, "10.5.2.2/24".to_owned()), (1, "10.5.1.2/24".to_owned())]
        );
    }

    #[test]
    fn a_task_sees_the_services_of_its_networks_and_only_ready_backends() {
        let mut cluster = cluster();
        cluster.endpoint("web.1").ready = false;
        let wanted = wanted_of(&cluster);
        let task = wanted.tasks[&cluster.task("ask.1")].clone().unwrap();
        let seen = BTreeMap::from([(ip("10.5.1.100"), vec![ip("10.5.1.4")])]);
        assert_eq!(*task.sight.vips, seen);
        assert!(task.asks_outside);
    }

    #[test]
    fn a_task_that_cannot_be_connected_yet_says_why_and_stops_no_other() {
        let mut cluster = cluster();
        let lost = cluster.task("ask.1");
        let task = cluster.desired.tasks.get_mut(&lost).unwrap();
        task.addresses.remove(&network(2));
        let wanted = wanted_of(&cluster);
        assert_eq!(wanted.tasks[&lost], Err(NotYet::Address(network(2))));
        assert!(wanted.tasks[&cluster.task("web.1")].is_ok());
        assert!(!wanted.overlays.contains_key(&network(2)));
    }

    #[test]
    fn nothing_of_an_encrypted_network_is_carried_in_clear_text() {
        let mut cluster = cluster();
        let record = cluster.desired.networks.get_mut(&network(1)).unwrap();
        record.encrypted = true;
        let wanted = wanted_of(&cluster);
        for task in ["ask.1", "web.1"] {
            let task = cluster.task(task);
            assert_eq!(wanted.tasks[&task], Err(NotYet::Encrypted(network(1))));
        }
        assert!(wanted.overlays.is_empty(), "{:?}", wanted.overlays);
    }

    #[test]
    fn an_address_outside_its_network_is_refused() {
        let mut cluster = cluster();
        let task = cluster.task("web.1");
        let stray = cluster.desired.tasks.get_mut(&task).unwrap();
        stray.addresses.insert(network(1), ip("192.0.2.1"));
        let refused = NotYet::Foreign(network(1), ip("192.0.2.1"));
        assert_eq!(wanted_of(&cluster).tasks[&task], Err(refused));
    }
}
