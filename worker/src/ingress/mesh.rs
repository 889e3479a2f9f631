//! What the mesh should be on this node, worked out of everything desired. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use ipnet::Ipv4Net;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::addr::IngressSlice;
use weft_proto::addr::NodeNumber;
use weft_proto::defaults::CONTROL_PORT;
use weft_proto::defaults::VXLAN_PORT;
use weft_proto::object::Task;
use weft_proto::spec::Protocol;

use crate::desired::Desired;

/// The mesh as this node should have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mesh {
    /// This node's number.
    pub(super) number: NodeNumber,
    /// All nodes' slices.
    pub(super) pool: Ipv4Net,
    /// This node's slice.
    pub(super) slice: IngressSlice,
    /// The other nodes.
    pub(super) peers: BTreeMap<NodeNumber, Peer>,
    /// The published ports and where their connections go.
    pub(super) ports: BTreeMap<(Protocol, u16), Vec<SocketAddrV4>>,
    /// This node's tasks, by their offset in the slice.
    pub(super) tasks: BTreeMap<u8, TaskPort>,
    /// Addresses of nodes: tasks reach published ports there and nothing else.
    pub(super) nodes: BTreeSet<Ipv4Addr>,
}

/// Another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Where it receives VXLAN packets.
    pub(super) data_addr: IpAddr,
    /// Its part of the pool.
    pub(super) slice: IngressSlice,
}

/// A task's place in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskPort {
    /// Which task.
    pub(super) task: TaskId,
    /// Its address.
    pub(super) addr: Ipv4Addr,
    /// May begin connections to the outside.
    pub(super) egress: bool,
}

/// Why there is no mesh on this node yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoMesh {
    #[error("the cluster has not given this node a number in the routing mesh yet")]
    NoNumber,
    #[error("the ingress pool {pool} is too small for node number {number}")]
    PoolTooSmall { pool: Ipv4Net, number: NodeNumber },
}

impl Mesh {
    /// The mesh of node `me` with the tasks in `active`; `own` are the host's own addresses. Says
    /// also which tasks cannot be part of it, and why.
    pub(super) fn of(
        desired: &Desired,
        me: NodeId,
        own: &[IpAddr],
        active: &BTreeSet<TaskId>,
    ) -> Result<(Mesh, BTreeMap<TaskId, String>), NoMesh> {
        let this = desired.peers.get(&me).ok_or(NoMesh::NoNumber)?;
        let (pool, number) = (this.ingress_pool, this.number);
        let slice = IngressSlice::of(pool, number).ok_or(NoMesh::PoolTooSmall { pool, number })?;
        let others = desired.peers.values().filter(|peer| peer.node != me);
        let peers = others.filter_map(|peer| {
            let slice = IngressSlice::of(pool, peer.number)?;
            let data_addr = peer.data_addr;
            Some((peer.number, Peer { data_addr, slice }))
        });
        let addresses = desired.peers.values().map(|peer| peer.data_addr);
        let nodes = addresses.chain(own.iter().copied()).filter_map(v4);
        // Addresses of the pool are nobody's port, the node's own one neither.
        let nodes = nodes.filter(|node| !pool.contains(node));
        let ports = desired.published.values().filter(|port| {
            // They are the cluster's own on every node; taking them would cut the node off.
            (port.protocol, port.port) != (Protocol::Udp, VXLAN_PORT)
                && (port.protocol, port.port) != (Protocol::Tcp, CONTROL_PORT)
        });
        let ports = ports.map(|port| {
            let backends = port.backends.iter();
            let backends = backends.map(|to| SocketAddrV4::new(to.addr, to.port));
            ((port.protocol, port.port), backends.collect())
        });
        let mut mesh = Mesh {
            number,
            pool,
            slice,
            peers: peers.collect(),
            ports: ports.collect(),
            tasks: BTreeMap::new(),
            nodes: nodes.collect(),
        };
        let problems = mesh.admit(desired, active);
        Ok((mesh, problems))
    }

    fn admit(&mut self, desired: &Desired, active: &BTreeSet<TaskId>) -> BTreeMap<TaskId, String> {
        let mut problems = BTreeMap::new();
        for task in active.iter().filter_map(|id| desired.tasks.get(id)) {
            let Some(addr) = task.ingress_addr else {
                continue;
            };
            let Some(offset) = self.offset_of(addr) else {
                let slice = self.slice.net();
                let problem = format!("its ingress address {addr} is none for tasks of {slice}");
                problems.insert(task.id, problem);
                continue;
            };
            let port = TaskPort {
                task: task.id,
                addr,
                egress: may_leave(task, desired),
            };
            if let Some(first) = self.tasks.get(&offset) {
                let problem = format!("its ingress address {addr} is also {}'s", first.task);
                problems.insert(task.id, problem);
            } else {
                self.tasks.insert(offset, port);
            }
        }
        problems
    }

    fn offset_of(&self, addr: Ipv4Addr) -> Option<u8> {
        let [.., offset] = addr.octets();
        let inside = self.slice.net().contains(&addr);
        (inside && IngressSlice::TASK_OFFSETS.contains(&offset)).then_some(offset)
    }
}

/// A task on no network at all has only the outside; one on internal networks only has no outside.
/// A network that is not known (yet) counts as internal.
fn may_leave(task: &Task, desired: &Desired) -> bool {
    let open = |network| {
        let record = desired.networks.get(network);
        record.is_some_and(|record| !record.internal)
    };
    task.addresses.is_empty() || task.addresses.keys().any(open)
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::assignment::Backend;
    use weft_proto::assignment::PeerRecord;
    use weft_proto::assignment::PublishedRecord;

    fn node(n: u16) -> NodeId {
        NodeId::from_entropy(n.into())
    }

    fn desired(numbers: &[u16]) -> Desired {
        let mut desired = Desired::default();
        for n in numbers {
            let peer = PeerRecord {
                node: node(*n),
                hostname: format!("host{n}"),
                number: (*n).try_into().unwrap(),
                data_addr: IpAddr::V4(Ipv4Addr::from(0xc000_0200 + u32::from(*n))),
                ingress_pool: weft_proto::defaults::ingress_pool(),
            };
            desired.peers.insert(peer.node, peer);
        }
        desired
    }

    fn mesh(desired: &Desired, own: &[&str]) -> Result<Mesh, NoMesh> {
        let own: Vec<_> = own.iter().map(|ip| ip.parse().unwrap()).collect();
        Mesh::of(desired, node(1), &own, &BTreeSet::new()).map(|(mesh, _)| mesh)
    }

    #[test]
    fn a_node_without_a_number_or_beyond_the_pool_has_no_mesh() {
        assert_eq!(mesh(&desired(&[2, 3]), &[]), Err(NoMesh::NoNumber));
        let mut desired = desired(&[1]);
        let me = desired.peers.get_mut(&node(1)).unwrap();
        me.number = 256.try_into().unwrap();
        assert!(matches!(
            mesh(&desired, &[]),
            Err(NoMesh::PoolTooSmall { .. })
        ));
    }

    #[test]
    fn it_is_none_of_its_own_peers_but_its_addresses_are_guarded() {
        let own = ["198.51.100.7", "10.255.1.254", "fd00::1"];
        let mesh = mesh(&desired(&[1, 2, 300]), &own).unwrap();
        let peers: Vec<_> = mesh.peers.keys().map(|number| number.get()).collect();
        assert_eq!(peers, [2], "300 is beyond the pool");
        let nodes: Vec<_> = mesh.nodes.iter().map(ToString::to_string).collect();
        assert_eq!(
            nodes,
            ["192.0.2.1", "192.0.2.2", "192.0.3.44", "198.51.100.7"]
        );
    }

    #[test]
    fn ports_of_the_cluster_itself_are_not_published() {
        let mut desired = desired(&[1]);
        let taken = [(Protocol::Udp, 4789), (Protocol::Tcp, 2377)];
        let free = [(Protocol::Udp, 2377), (Protocol::Tcp, 4789)];
        for (protocol, port) in taken.into_iter().chain(free) {
            let record = PublishedRecord {
                protocol,
                port,
                service_name: "web".parse().unwrap(),
                backends: vec![Backend {
                    task: TaskId::from_entropy(1),
                    addr: Ipv4Addr::new(10, 255, 2, 10),
                    port: 80,
                }],
            };
            desired.published.insert((protocol, port), record);
        }
        let mesh = mesh(&desired, &[]).unwrap();
        let mut ports: Vec<_> = mesh.ports.into_keys().collect();
        ports.sort_by_key(|(_, port)| *port);
        assert_eq!(ports, free);
    }
}
