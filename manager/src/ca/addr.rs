//! Which addresses a node can have. Loopback addresses are allowed: a cluster on one machine is one.

use crate::ca::error::AddressError;
use crate::store::State;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use std::net::IpAddr;
use std::net::SocketAddr;
use weft_proto::object::Node;
use weft_proto::object::NodeState;

pub(super) const DATA: &str = "--data-path-addr";
pub(super) const ADVERTISE: &str = "--advertise-addr";

/// Where other nodes send packets of networks.
pub(super) fn read_data(text: &str) -> Result<IpAddr, AddressError> {
    let addr = text.parse().map_err(|_| AddressError::Unreadable {
        flag: DATA,
        text: shortened(text),
        example: "192.0.2.1",
    })?;
    check_reachable(DATA, addr)?;
    Ok(addr)
}

/// Where other nodes reach a manager.
pub(super) fn read_advertise(text: &str) -> Result<SocketAddr, AddressError> {
    if text.is_empty() {
        return Err(AddressError::NoAdvertise);
    }
    let addr = text.parse().map_err(|_| AddressError::Unreadable {
        flag: ADVERTISE,
        text: shortened(text),
        example: "192.0.2.1:2377",
    })?;
    check_advertise(addr)?;
    Ok(addr)
}

/// Refuses addresses that say nothing to other nodes.
pub(crate) fn check_advertise(addr: SocketAddr) -> Result<(), AddressError> {
    check_reachable(ADVERTISE, addr.ip())?;
    if addr.port() == 0 {
        return Err(AddressError::NoPort { flag: ADVERTISE });
    }
    Ok(())
}

/// Refuses addresses that mean no single machine everywhere in the cluster.
pub(super) fn check_reachable(flag: &'static str, addr: IpAddr) -> Result<(), AddressError> {
    let scoped = match addr {
        IpAddr::V4(addr) => addr.is_broadcast() || addr.is_link_local(),
        // Without the name of an interface, which differs between machines, they are no address.
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    };
    if scoped || addr.is_unspecified() || addr.is_multicast() {
        return Err(AddressError::Unreachable { flag, addr });
    }
    Ok(())
}

/// Refuses an address that tasks would look for among themselves.
pub(super) fn check_ingress(addr: IpAddr, pool: Ipv4Net) -> Result<(), AddressError> {
    let pool = IpNet::V4(pool);
    if pool.contains(&addr) {
        return Err(AddressError::InIngress { addr, pool });
    }
    Ok(())
}

/// Refuses an address that tasks would look for on one of their networks.
pub(super) fn check_networks(state: &State, addr: IpAddr) -> Result<(), AddressError> {
    let network = state
        .networks()
        .find(|network| network.subnet.contains(&addr));
    match network {
        None => Ok(()),
        Some(network) => Err(AddressError::InNetwork {
            addr,
            subnet: network.subnet,
            network: network.spec.name.clone(),
        }),
    }
}

/// Refuses an address that another node has. Returns the nodes that are this very machine at an
/// earlier attempt, whose answer was lost: never heard of, no manager, and of the same host name.
/// A node that is down does not count: its machine may have been set up anew, or its address given
/// to another one.
pub(super) fn earlier_attempts<'a>(
    state: &'a State,
    hostname: &str,
    data: IpAddr,
    advertise: Option<SocketAddr>,
) -> Result<Vec<&'a Node>, AddressError> {
    let mut ghosts = Vec::new();
    for node in state.nodes() {
        let listens = node.manager.map(|manager| manager.addr);
        let addr = if node.data_addr == data {
            data
        } else if let Some(advertise) = advertise.filter(|addr| listens == Some(*addr)) {
            advertise.ip()
        } else {
            continue;
        };
        match node.status.state {
            NodeState::Down => {}
            NodeState::Unknown
                if node.manager.is_none() && node.description.hostname == hostname =>
            {
                ghosts.push(&**node);
            }
            NodeState::Unknown | NodeState::Ready => {
                return Err(AddressError::Taken {
                    addr,
                    node: node.description.hostname.clone(),
                    id: node.id,
                    state: node.status.state,
                });
            }
        }
    }
    Ok(ghosts)
}

/// Keeps messages bounded, whatever was sent.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
