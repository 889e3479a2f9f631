//! Numbers of networks and nodes.

use crate::allocator::AllocateError;
use crate::store::Claim;
use crate::store::State;
use weft_proto::addr::IngressSlice;
use weft_proto::addr::NodeNumber;
use weft_proto::addr::Vni;

/// The lowest VXLAN identifier that no network has.
pub fn choose_vni(state: &State) -> Result<Vni, AllocateError> {
    std::iter::successors(Some(Vni::FIRST), |vni| vni.next())
        .find(|vni| state.holder(&Claim::Vni(*vni)).is_none())
        .ok_or(AllocateError::Vnis)
}

/// The lowest node number that no node has and that the ingress pool has a slice for.
pub fn choose_node_number(state: &State) -> Result<NodeNumber, AllocateError> {
    let pool = state
        .cluster()
        .ok_or(AllocateError::NoCluster)?
        .settings
        .ingress_pool;
    (1..=u16::MAX)
        .filter_map(|number| NodeNumber::try_from(number).ok())
        .take_while(|number| IngressSlice::of(pool, *number).is_some())
        .find(|number| state.holder(&Claim::NodeNumber(*number)).is_none())
        .ok_or(AllocateError::Nodes {
            pool,
            room: (1u32 << 24u8.saturating_sub(pool.prefix_len())).saturating_sub(1),
        })
}
