//! Where the managers are.

use crate::store::State;
use std::net::SocketAddr;
use weft_proto::object::NodeState;

/// The addresses of all managers, those that are not down first.
pub fn manager_addrs(state: &State) -> Vec<SocketAddr> {
    let mut addrs: Vec<(bool, SocketAddr)> = state
        .nodes()
        .filter_map(|node| {
            let down = node.status.state == NodeState::Down;
            node.manager.map(|manager| (down, manager.addr))
        })
        .collect();
    addrs.sort();
    addrs.into_iter().map(|(_, addr)| addr).collect()
}
