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
