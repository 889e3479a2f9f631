//! Two nodes with one overlay network, as recipe B makes it.

use std::net::IpAddr;

use weft_kernel::netlink::Address;
use weft_kernel::netlink::AddressOptions;
use weft_kernel::netlink::BridgeSpec;
use weft_kernel::netlink::Counters;
use weft_kernel::netlink::FdbEntry;
use weft_kernel::netlink::Link;
use weft_kernel::netlink::Mac;
use weft_kernel::netlink::Neighbour;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::PortFlags;
use weft_kernel::netlink::VethEnd;
use weft_kernel::netlink::Vni;
use weft_kernel::netlink::VxlanSpec;

use crate::bed;
use crate::bed::Bed;
use crate::bed::alias;
use crate::bed::ip;
use crate::bed::name;

pub(crate) const AT_ONCE: AddressOptions = AddressOptions {
    nodad: true,
    no_prefix_route: false,
};

/// One node: its own namespace, the network's and its task's.
pub(crate) struct Node {
    pub(crate) host: Netlink,
    pub(crate) net: Netlink,
    pub(crate) task: Netlink,
    pub(crate) underlay: IpAddr,
    pub(crate) task4: IpAddr,
    pub(crate) task6: IpAddr,
    pub(crate) task_mac: Mac,
}

pub(crate) struct Overlay {
    pub(crate) bed: Bed,
    pub(crate) nodes: [Node; 2],
    pub(crate) mtu: u32,
}

impl Overlay {
    pub(crate) async fn new(underlays: [&str; 2], mtu: u32) -> Self {
        let bed = Bed::new();
        let node = |number: u8, underlay| Node {
            host: bed.netlink(&format!("host{number}")),
            net: bed.netlink(&format!("net{number}")),
            task: bed.netlink(&format!("task{number}")),
            underlay: ip(underlay),
            task4: ip(&format!("10.5.0.{number}")),
            task6: ip(&format!("fd05::{number}")),
            task_mac: Mac([2, 0, 10, 5, 0, number]),
        };
        let nodes = [node(2, underlays[0]), node(3, underlays[1])];
        let overlay = Self { bed, nodes, mtu };
        overlay.apply().await;
        overlay
    }

    /// Everything of recipe B. Run again, it must change nothing.
    pub(crate) async fn apply(&self) {
        let [a, b] = &self.nodes;
        let (left, right) = a
            .host
            .ensure_veth(&bed::end("eth0"), &b.host, &bed::end("eth0"))
            .await
            .unwrap();
        for (device, node) in [(left, a), (right, b)] {
            let length = if node.underlay.is_ipv4() { 24 } else { 64 };
            let address = ipnet::IpNet::new(node.underlay, length).unwrap();
            device.add_address(address, AT_ONCE).await.unwrap();
            device.set_up().await.unwrap();
        }
        for (node, other) in [(a, b), (b, a)] {
            self.apply_node(node, other).await;
        }
    }

    pub(crate) async fn apply_node(&self, node: &Node, other: &Node) {
        let bridge = BridgeSpec {
            name: name("br0"),
            alias: alias("net-7"),
            mtu: self.mtu,
        };
        let bridge = node.net.ensure_bridge(&bridge).await.unwrap();
        let vxlan = VxlanSpec {
            name: name("vx7"),
            alias: alias("net-7"),
            vni: Vni::new(7).unwrap(),
            local: node.underlay,
            port: 4789,
            mtu: self.mtu,
            mac: None,
        };
        let vxlan = node.host.ensure_vxlan(&vxlan, &node.net).await.unwrap();
        let end = |text, mac| VethEnd {
            mtu: self.mtu,
            mac,
            ..bed::end(text)
        };
        let (port, eth) = node
            .net
            .ensure_veth(
                &end("p1", None),
                &node.task,
                &end("eth0", Some(node.task_mac)),
            )
            .await
            .unwrap();
        for (device, flags) in [(&vxlan, PortFlags::REMOTE), (&port, PortFlags::LOCAL)] {
            device.set_master(&bridge).await.unwrap();
            device.set_port_flags(flags).await.unwrap();
            device.set_up().await.unwrap();
        }
        bridge.set_up().await.unwrap();
        eth.add_address(ipnet::IpNet::new(node.task4, 24).unwrap(), AT_ONCE)
            .await
            .unwrap();
        eth.add_address(ipnet::IpNet::new(node.task6, 64).unwrap(), AT_ONCE)
            .await
            .unwrap();
        eth.set_up().await.unwrap();

        port.set_port_entry(node.task_mac).await.unwrap();
        vxlan
            .set_tunnel_entry(other.task_mac, other.underlay)
            .await
            .unwrap();
        vxlan.set_port_entry(other.task_mac).await.unwrap();
        bridge
            .set_neighbour(other.task4, other.task_mac)
            .await
            .unwrap();
        bridge
            .set_neighbour(other.task6, other.task_mac)
            .await
            .unwrap();
    }

    /// What there is in the namespaces that make up the network.
    pub(crate) async fn snapshot(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for netlink in self
            .nodes
            .iter()
            .flat_map(|node| [&node.host, &node.net, &node.task])
        {
            let mut links = netlink.links().await.unwrap();
            for link in &mut links {
                link.counters = Counters::default();
            }
            let (mut entries, mut neighbours) = (Vec::new(), Vec::new());
            for link in &links {
                let device = netlink.device(&link.name).await.unwrap();
                entries.extend(device.forwarding().await.unwrap());
                let known = device.neighbours().await.unwrap();
                neighbours.extend(known.into_iter().filter(|known| known.permanent));
            }
            let addresses = netlink.addresses().await.unwrap();
            all.push(Seen {
                links,
                addresses,
                entries,
                neighbours,
            });
        }
        all
    }

    pub(crate) async fn sent_by_tunnel(&self) -> u64 {
        let vxlan = self.nodes[0].net.link(&name("vx7")).await.unwrap().unwrap();
        vxlan.counters.tx_packets
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) entries: Vec<FdbEntry>,
    pub(crate) neighbours: Vec<Neighbour>,
}
