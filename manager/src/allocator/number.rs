//! Numbers of networks and nodes.

use crate::allocator::AllocateError;
use crate::store::Claim;
use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::addr::IngressSlice;
use weft_proto::addr::NodeNumber;
use weft_proto::addr::Vni;
use weft_proto::time::Timestamp;

/// The lowest VXLAN identifier that no network has.
pub fn choose_vni(state: &State) -> Result<Vni, AllocateError> {
    std::iter::successors(Some(Vni::FIRST), |vni| vni.next())
        .find(|vni| state.holder(&Claim::Vni(*vni)).is_none())
        .ok_or(AllocateError::Vnis)
}

/// The lowest node number that no node has and that the ingress pool has a slice for. Numbers of
/// nodes that were removed come last, the longest removed first: their tasks may still use them.
pub fn choose_node_number(state: &State) -> Result<NodeNumber, AllocateError> {
    let pool = state
        .cluster()
        .ok_or(AllocateError::NoCluster)?
        .settings
        .ingress_pool;
    let rests: BTreeMap<NodeNumber, Timestamp> = state
        .removed_nodes()
        .map(|node| (node.number, node.at))
        .collect();
    (1..=u16::MAX)
        .filter_map(|number| NodeNumber::try_from(number).ok())
        .take_while(|number| IngressSlice::of(pool, *number).is_some())
        .filter(|number| state.holder(&Claim::NodeNumber(*number)).is_none())
        .min_by_key(|number| rests.get(number).copied())
        .ok_or(AllocateError::Nodes {
            pool,
            room: (1u32 << 24u8.saturating_sub(pool.prefix_len())).saturating_sub(1),
        })
}
