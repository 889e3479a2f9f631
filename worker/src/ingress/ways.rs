//! Routes, neighbours and forwarding entries of the mesh: what they should be, and what leads there
//! from what was found. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use ipnet::Ipv4Net;
use weft_kernel::netlink::LinkIndex;
use weft_kernel::netlink::Mac;
use weft_kernel::netlink::Route;

use super::mesh::Mesh;
use super::names::REPLY_HOP;
use super::names::REPLY_MAC;
use super::names::REPLY_TABLE;
use super::names::node_mac;

/// What a table of entries needs: first what goes, then what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change<K, V> {
    /// Entries that are no more wanted.
    pub(super) gone: Vec<K>,
    /// Entries to set, in place of others of their key.
    pub(super) set: Vec<(K, V)>,
}

/// From the entries found to those wanted.
pub(super) fn change<K: Ord + Copy, V: PartialEq + Copy>(
    wanted: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Change<K, V> {
    let gone = found.keys().filter(|key| !wanted.contains_key(key));
    let set = wanted
        .iter()
        .filter(|(key, value)| found.get(key) != Some(value));
    Change {
        gone: gone.copied().collect(),
        set: set.map(|(key, value)| (*key, *value)).collect(),
    }
}

/// Routes by what the kernel tells them apart by.
pub(super) type Routes = BTreeMap<(u32, IpNet), Route>;

/// Routes of ours, arranged for comparison.
pub(super) fn arranged(routes: impl IntoIterator<Item = Route>) -> Routes {
    let routes = routes.into_iter();
    let keyed = routes.map(|route| ((route.table, route.destination), route));
    keyed.collect()
}

/// The host's routes: the whole pool lies behind the ingress namespace.
pub(super) fn host_routes(mesh: &Mesh, weft0: LinkIndex) -> Routes {
    let router = IpAddr::V4(mesh.slice.router());
    let to = |net: IpNet| Route {
        link: Some(weft0),
        ..Route::to(net)
    };
    arranged([
        to(IpNet::from(router)),
        to(IpNet::V4(mesh.pool))
            .via(router)
            .source(IpAddr::V4(mesh.slice.host())),
    ])
}

/// Links of the ingress namespace.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// The pair to the host.
    pub(super) host0: LinkIndex,
    /// The VXLAN device.
    pub(super) vxi: LinkIndex,
    /// Tasks' pairs by their offset.
    pub(super) ports: BTreeMap<u8, LinkIndex>,
}

/// The routes of the ingress namespace: each task, each other node, the outside, and replies to
/// what came from other nodes.
pub(super) fn inner_routes(mesh: &Mesh, links: &Links) -> Routes {
    let by = |link: LinkIndex, net: IpNet| Route {
        link: Some(link),
        ..Route::to(net)
    };
    let any = IpNet::V4(Ipv4Net::default());
    let outside = by(links.host0, any)
        .via(IpAddr::V4(mesh.slice.host()))
        .onlink()
        .source(IpAddr::V4(mesh.slice.router()));
    let replies = by(links.vxi, any)
        .via(IpAddr::V4(REPLY_HOP))
        .onlink()
        .table(REPLY_TABLE);
    let peers = mesh.peers.values().map(|peer| {
        by(links.vxi, IpNet::V4(peer.slice.net()))
            .via(IpAddr::V4(peer.slice.router()))
            .onlink()
    });
    let tasks = mesh.tasks.iter().filter_map(|(offset, port)| {
        let link = links.ports.get(offset)?;
        Some(by(*link, IpNet::from(IpAddr::V4(port.addr))))
    });
    arranged([outside, replies].into_iter().chain(peers).chain(tasks))
}

/// Who is who on the VXLAN device.
pub(super) fn neighbours(mesh: &Mesh) -> BTreeMap<IpAddr, Mac> {
    let peers = mesh.peers.iter();
    let peers = peers.map(|(number, peer)| (IpAddr::V4(peer.slice.router()), node_mac(*number)));
    peers.chain([(IpAddr::V4(REPLY_HOP), REPLY_MAC)]).collect()
}

/// Where the VXLAN device sends frames. Nodes of the other family cannot be reached from here.
pub(super) fn tunnels(mesh: &Mesh, data_addr: IpAddr) -> BTreeMap<Mac, IpAddr> {
    let peers = mesh.peers.iter();
    let peers = peers.filter(|(_, peer)| peer.data_addr.is_ipv4() == data_addr.is_ipv4());
    peers
        .map(|(number, peer)| (node_mac(*number), peer.data_addr))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_that_differ_are_touched() {
        let map = |pairs: &[(u8, u8)]| -> BTreeMap<u8, u8> { pairs.iter().copied().collect() };
        let change = change(
            &map(&[(1, 1), (2, 2), (3, 3)]),
            &map(&[(2, 2), (3, 9), (4, 4)]),
        );
        assert_eq!(change.gone, [4]);
        assert_eq!(change.set, [(1, 1), (3, 3)]);
    }
}
