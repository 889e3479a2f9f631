//! Numbers of the data plane that must not be mixed up with other numbers.

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::net::Ipv4Addr;

/// VXLAN network identifier: 24 bits (RFC 7348 s. 5). Zero is never issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct Vni(u32);

/// A number that is no VXLAN network identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no VXLAN network identifier: it must be 1 to 16777215")]
pub struct VniError(u32);

impl Vni {
    /// The first identifier that networks get. Below it the ingress network has its place.
    pub const FIRST: Vni = Vni(4097);
    /// The network of the routing mesh, the same in every cluster.
    pub const INGRESS: Vni = Vni(4096);
    /// The greatest identifier.
    pub const MAX: Vni = Vni(0x00ff_ffff);

    /// The identifier as a number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The next identifier, if there is one.
    pub fn next(self) -> Option<Vni> {
        Vni::try_from(self.0 + 1).ok()
    }
}

impl TryFrom<u32> for Vni {
    type Error = VniError;
    fn try_from(value: u32) -> Result<Self, VniError> {
        if (1..=Vni::MAX.0).contains(&value) {
            Ok(Vni(value))
        } else {
            Err(VniError(value))
        }
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> u32 {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which /24 of the ingress pool a node owns: node 7 owns `10.255.7.0/24` of the default pool.
/// Zero is never issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub struct NodeNumber(u16);

/// Zero is not a node number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("0 is not a node number")]
pub struct NodeNumberError;

impl NodeNumber {
    /// The number as such.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for NodeNumber {
    type Error = NodeNumberError;
    fn try_from(value: u16) -> Result<Self, NodeNumberError> {
        if value == 0 {
            Err(NodeNumberError)
        } else {
            Ok(NodeNumber(value))
        }
    }
}

impl From<NodeNumber> for u16 {
    fn from(number: NodeNumber) -> u16 {
        number.0
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of the ingress pool that one node owns: a /24. Tasks have their outside address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IngressSlice(Ipv4Net);

impl IngressSlice {
    /// Offsets within a slice that tasks get. The first ten are kept for the node itself, the last
    /// ones for its gateway and broadcast.
    pub const TASK_OFFSETS: std::ops::RangeInclusive<u8> = 10..=250;

    /// The slice of a node; `None` when the pool is too small for its number.
    pub fn of(pool: Ipv4Net, number: NodeNumber) -> Option<Self> {
        let first = u32::from(pool.network()).checked_add(u32::from(number.get()) << 8)?;
        let net = Ipv4Net::new(Ipv4Addr::from(first), 24).ok()?;
        (pool.contains(&net)).then_some(IngressSlice(net))
    }

    /// The slice as a network.
    pub fn net(self) -> Ipv4Net {
        self.0
    }

    /// The address at an offset.
    pub fn at(self, offset: u8) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.0.network()) + u32::from(offset))
    }

    /// The ingress namespace's own address: where tasks send what leaves the node.
    pub fn router(self) -> Ipv4Addr {
        self.at(1)
    }

    /// The node's address as its tasks see it.
    pub fn host(self) -> Ipv4Addr {
        self.at(254)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_owns_one_slice_of_the_pool_and_a_pool_has_an_end() {
        let pool: Ipv4Net = "10.255.0.0/16".parse().unwrap();
        let slice = |n: u16| IngressSlice::of(pool, NodeNumber(n)).map(|s| s.net().to_string());
        assert_eq!(slice(7).as_deref(), Some("10.255.7.0/24"));
        assert_eq!(slice(255).as_deref(), Some("10.255.255.0/24"));
        assert_eq!(slice(256), None);
    }
}
