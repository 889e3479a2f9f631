//! From who is where, as the kernel has it, to who is where, as it should be. Pure.

use super::observe::Known;
use crate::network::mac_of;
use crate::network::wanted::Overlay;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_kernel::netlink::Mac;

/// One change of who is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The bridge stops to answer for an address.
    ForgetNeighbour(IpAddr),
    /// The bridge stops to send frames for it to the tunnel.
    ForgetTurn(Mac),
    /// The tunnel has no node for it.
    ForgetNode(Mac),
    /// The tunnel sends frames for it to this node.
    Node(Mac, IpAddr),
    /// The bridge sends frames for it to the tunnel.
    Turn(Mac),
    /// The bridge answers for it.
    Neighbour(IpAddr, Mac),
}

/// Removals first, so that an address may move; a way is complete before the first who asks for it
/// gets an answer.
pub(super) fn plan(known: &Known, wanted: &Overlay) -> Vec<Step> {
    let remotes = wanted.remotes.iter();
    let nodes: BTreeMap<Mac, IpAddr> = remotes.map(|(ip, node)| (mac_of(*ip), *node)).collect();
    let neighbours: BTreeMap<IpAddr, Mac> =
        wanted.remotes.keys().map(|ip| (*ip, mac_of(*ip))).collect();
    let mut steps = Vec::new();
    let gone = known.neighbours.keys();
    let gone = gone.filter(|ip| !neighbours.contains_key(ip));
    steps.extend(gone.map(|ip| Step::ForgetNeighbour(*ip)));
    let gone = known.behind_tunnel.iter();
    let gone = gone.filter(|mac| !nodes.contains_key(mac));
    steps.extend(gone.map(|mac| Step::ForgetTurn(*mac)));
    let gone = known.tunnels.keys().filter(|mac| !nodes.contains_key(mac));
    steps.extend(gone.map(|mac| Step::ForgetNode(*mac)));
    for (mac, node) in &nodes {
        if known.tunnels.get(mac) != Some(node) {
            steps.push(Step::Node(*mac, *node));
        }
        if !known.behind_tunnel.contains(mac) {
            steps.push(Step::Turn(*mac));
        }
    }
    let missing = neighbours
        .iter()
        .filter(|(ip, mac)| known.neighbours.get(ip) != Some(mac));
    steps.extend(missing.map(|(ip, mac)| Step::Neighbour(*ip, *mac)));
    steps
}

/// Ports whose tasks are no longer attached.
pub(super) fn stale_ports(
    known: &Known,
    wanted: &Overlay,
    keep: &BTreeSet<weft_proto::TaskId>,
) -> Vec<weft_kernel::netlink::IfName> {
    let ports = known.ports.iter();
    ports
        .filter(|(_, task)| !wanted.ports.contains_key(task) && !keep.contains(task))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::NetworkId;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn overlay(remotes: &[(&str, &str)]) -> Overlay {
        Overlay {
            id: NetworkId::from_entropy(1),
            vni: weft_proto::addr::Vni::FIRST,
            local: ip("192.168.50.1"),
            mtu: 1450,
            ports: BTreeMap::new(),
            remotes: remotes.iter().map(|(a, b)| (ip(a), ip(b))).collect(),
        }
    }

    fn apply(known: &mut Known, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::ForgetNeighbour(ip) => _ = known.neighbours.remove(&ip),
                Step::ForgetTurn(mac) => _ = known.behind_tunnel.remove(&mac),
                Step::ForgetNode(mac) => _ = known.tunnels.remove(&mac),
                Step::Node(mac, node) => _ = known.tunnels.insert(mac, node),
                Step::Turn(mac) => _ = known.behind_tunnel.insert(mac),
                Step::Neighbour(ip, mac) => _ = known.neighbours.insert(ip, mac),
            }
        }
    }

    #[test]
    fn after_the_plan_there_is_nothing_left_to_do() {
        let mut known = Known::default();
        let steps = [
            overlay(&[("10.5.0.2", "192.168.50.2"), ("10.5.0.3", "192.168.50.3")]),
            overlay(&[("10.5.0.3", "192.168.50.2"), ("10.5.0.4", "192.168.50.3")]),
            overlay(&[]),
        ];
        for wanted in steps {
            let steps = plan(&known, &wanted);
            apply(&mut known, &steps);
            assert_eq!(plan(&known, &wanted), []);
            assert_eq!(known.neighbours.len(), wanted.remotes.len());
        }
        assert_eq!(known, Known::default());
    }

    #[test]
    fn an_address_that_moves_to_another_node_changes_one_entry() {
        let mut known = Known::default();
        let first = plan(&known, &overlay(&[("10.5.0.2", "192.168.50.2")]));
        apply(&mut known, &first);
        assert_eq!(
            plan(&known, &overlay(&[("10.5.0.2", "192.168.50.9")])),
            [Step::Node(mac_of(ip("10.5.0.2")), ip("192.168.50.9"))]
        );
    }
}
