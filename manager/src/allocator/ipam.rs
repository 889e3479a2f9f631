//! Addresses of tasks and services, and subnets of networks.

use crate::allocator::AllocateError;
use crate::store::Claim;
use crate::store::State;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use weft_proto::object::Network;

/// A free address of a network, not among `also_taken` (given in the same transaction).
///
/// Begins behind the greatest address in use and comes round at the end, so that a released address
/// rests as long as it can before somebody else gets it.
pub fn choose_address(
    state: &State,
    network: &Network,
    also_taken: &BTreeSet<IpAddr>,
) -> Result<IpAddr, AllocateError> {
    choose_behind(state, network, also_taken, None)
}

/// As [`choose_address`], but begins behind `last`, if there is one.
pub(super) fn choose_behind(
    state: &State,
    network: &Network,
    also_taken: &BTreeSet<IpAddr>,
    last: Option<IpAddr>,
) -> Result<IpAddr, AllocateError> {
    let free = |addr: &IpAddr| {
        !also_taken.contains(addr) && state.holder(&Claim::Address(network.id, *addr)).is_none()
    };
    let (first, end) = usable(network.subnet);
    let greatest = || {
        let used = state.greatest_address(network.id);
        used.max(also_taken.last().copied())
    };
    let start = last
        .filter(|last| network.subnet.contains(last))
        .or_else(greatest)
        .map_or(first, |last| to_number(&last) + 1);
    let behind = start.clamp(first, end + 1)..=end;
    let choices = behind
        .chain(first..=end)
        .map(|number| from_number(network.subnet, number))
        .filter(free);
    // Those that a removed node may still use come last.
    let rests = |addr: &IpAddr| state.is_resting(network.id, *addr);
    let rested = choices.clone().find(|addr| !rests(addr));
    rested
        .or_else(|| choices.clone().next())
        .ok_or_else(|| AllocateError::Addresses {
            network: network.spec.name.clone(),
            subnet: network.subnet,
        })
}

/// The addresses of a subnet that are given away. The first one is kept, as people expect a gateway
/// there, and so are the network's own and the broadcast address.
fn usable(subnet: IpNet) -> (u128, u128) {
    match subnet {
        IpNet::V4(net) => (
            u128::from(u32::from(net.network())) + 2,
            u128::from(u32::from(net.broadcast())) - 1,
        ),
        IpNet::V6(net) => (
            u128::from(net.network()) + 2,
            u128::from(net.broadcast()).saturating_sub(1),
        ),
    }
}

fn to_number(addr: &IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(u32::from(*addr)),
        IpAddr::V6(addr) => u128::from(*addr),
    }
}

fn from_number(subnet: IpNet, number: u128) -> IpAddr {
    match subnet {
        // The number was made from addresses of this very subnet, so the upper bits are zero.
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The subnet of a new network: the asked-for one if it is free, or else the first free one of the
/// cluster's pools. Never one that holds a node's address, since its tasks could not reach that node.
pub fn choose_subnet(state: &State, asked: Option<IpNet>) -> Result<IpNet, AllocateError> {
    let settings = &state.cluster().ok_or(AllocateError::NoCluster)?.settings;
    let ingress = IpNet::V4(settings.ingress_pool);
    let overlaps = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    if let Some(subnet) = asked {
        if overlaps(&subnet, &ingress) {
            return Err(AllocateError::SubnetInIngress {
                subnet,
                pool: ingress,
            });
        }
        return match state.nodes().find(|node| subnet.contains(&node.data_addr)) {
            Some(node) => Err(AllocateError::SubnetHoldsNode {
                subnet,
                addr: node.data_addr,
                node: node.description.hostname.clone(),
            }),
            // An overlap with another network is refused by the store, which names that network.
            None => Ok(subnet),
        };
    }
    let free = |subnet: &IpNet| {
        !overlaps(subnet, &ingress)
            && !state
                .networks()
                .any(|network| overlaps(subnet, &network.subnet))
            && !state.nodes().any(|node| subnet.contains(&node.data_addr))
    };
    settings
        .address_pools
        .iter()
        .filter_map(|pool| match pool {
            IpNet::V4(pool) => Some(cut(*pool, settings.subnet_prefix)),
            IpNet::V6(_) => None,
        })
        .flatten()
        .map(IpNet::V4)
        .find(free)
        .ok_or(AllocateError::Subnets {
            prefix: settings.subnet_prefix,
        })
}

/// The subnets of a pool but its first, which hosts tend to use themselves.
fn cut(pool: Ipv4Net, prefix: u8) -> impl Iterator<Item = Ipv4Net> {
    pool.subnets(prefix).into_iter().flatten().skip(1)
}
