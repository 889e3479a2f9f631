//! Numbers of the data plane that must not be mixed up with other numbers.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

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
