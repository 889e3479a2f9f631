//! Values as they stand in set elements and comparisons.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Bytes an interface name takes in a comparison, its end mark included.
pub(super) const IFNAME: usize = 16;

/// One value: a part of a set element's key or data, or one side of a comparison.
///
/// Its variant must be the one the [`Field`](super::Field) it meets is made of; the kernel
/// refuses lengths that differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// An IPv4 address.
    Ip4(Ipv4Addr),
    /// An IPv6 address.
    Ip6(Ipv6Addr),
    /// A link-layer address.
    Mac([u8; 6]),
    /// A port of TCP, UDP or SCTP, or an ether type: two bytes in network order.
    Port(u16),
    /// A layer-4 protocol number, an ICMP type, a netfilter protocol, a conntrack direction.
    Byte(u8),
    /// A whole interface name, at most 15 bytes.
    Ifname(String),
    /// A slot, mark or bit field: four bytes in the machine's order.
    Number(u32),
    /// A conntrack zone: two bytes in the machine's order.
    Zone(u16),
    /// What has no type of its own, in network order (a VNI is three bytes).
    Bytes(Vec<u8>),
}

impl Value {
    /// TCP's protocol number.
    pub const TCP: Self = Self::Byte(6);
    /// UDP's protocol number.
    pub const UDP: Self = Self::Byte(17);
    /// SCTP's protocol number.
    pub const SCTP: Self = Self::Byte(132);

    /// The value as the kernel's registers hold it, without padding.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ip4(address) => address.octets().to_vec(),
            Self::Ip6(address) => address.octets().to_vec(),
            Self::Mac(address) => address.to_vec(),
            Self::Port(port) => port.to_be_bytes().to_vec(),
            Self::Byte(byte) => vec![*byte],
            Self::Ifname(name) => {
                let mut bytes = name.as_bytes().to_vec();
                bytes.resize(bytes.len().max(IFNAME), 0);
                bytes
            }
            Self::Number(number) => number.to_ne_bytes().to_vec(),
            Self::Zone(zone) => zone.to_ne_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }

    /// Why the value can never occur, so that a rule with it would silently never match.
    pub(super) fn fault(&self) -> Option<String> {
        let Self::Ifname(name) = self else {
            return None;
        };
        let fits = !name.is_empty() && name.len() < IFNAME;
        (!fits).then(|| format!("interface name {name:?} is not 1 to 15 bytes long"))
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ip4(address),
            IpAddr::V6(address) => Self::Ip6(address),
        }
    }
}

impl From<Ipv4Addr> for Value {
    fn from(address: Ipv4Addr) -> Self {
        Self::Ip4(address)
    }
}

impl From<Ipv6Addr> for Value {
    fn from(address: Ipv6Addr) -> Self {
        Self::Ip6(address)
    }
}

/// Joins values the way the kernel concatenates: each part begins at a multiple of four bytes.
/// A lone value is not padded.
pub(super) fn concatenate(values: &[Value]) -> Vec<u8> {
    if let [single] = values {
        return single.encode();
    }
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend(value.encode());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}
