//! What a rule can read of a packet, and what a set's key or data is made of.

use super::value::IFNAME;
use super::value::Value;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Where an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The link-layer header.
    Link,
    /// The IPv4, IPv6 or ARP header.
    Network,
    /// The TCP, UDP, SCTP or ICMP header.
    Transport,
}

/// Something read of a packet or its connection; also one part of a set's key or data.
///
/// Rules check by themselves that the header a field belongs to is there (an IPv6 packet never
/// has an [`Ip4Source`](Self::Ip4Source)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `ip saddr`
    Ip4Source,
    /// `ip daddr`
    Ip4Destination,
    /// `ip6 saddr`
    Ip6Source,
    /// `ip6 daddr`
    Ip6Destination,
    /// `ether saddr`
    EtherSource,
    /// `ether daddr`
    EtherDestination,
    /// `arp saddr ether`: the link-layer address an ARP message claims for its sender.
    ArpSenderEther,
    /// `arp saddr ip`: the address an ARP message claims for its sender.
    ArpSenderIp4,
    /// `th sport`, of any protocol with ports.
    SourcePort,
    /// `th dport`, of any protocol with ports.
    DestinationPort,
    /// `icmp type`
    IcmpType,
    /// `icmpv6 type`
    Icmpv6Type,
    /// `iifname`
    InputName,
    /// `oifname`
    OutputName,
    /// `meta l4proto`
    L4Protocol,
    /// `meta nfproto`: 2 for IPv4, 10 for IPv6.
    NfProtocol,
    /// `meta protocol`: the ether type.
    EtherType,
    /// `meta mark`
    Mark,
    /// `ct mark`
    CtMark,
    /// `ct zone`
    CtZone,
    /// `ct state`, a bit field.
    CtState,
    /// `ct status`, a bit field.
    CtStatus,
    /// `ct direction`: 0 original, 1 reply.
    CtDirection,
    /// `fib daddr type`: what the routing table says the destination is.
    DestinationType,
    /// `numgen random mod N`: drawn anew for every packet that reaches the rule.
    Random(u32),
    /// `numgen inc mod N`: the next number in turn for every packet that reaches the rule. One
    /// counter for the whole rule, whatever the packet.
    Turn(u32),
    /// `jhash ip saddr mod N`: the same for all packets of one IPv4 client.
    ///
    /// In a map's key it is stored as a random slot, because nft 1.0.6 crashes when it lists a
    /// map whose key says `jhash`.
    HashIp4Source(u32),
    /// `jhash ip6 saddr mod N`
    HashIp6Source(u32),
    /// `@base,offset,length`: bytes without a name of their own, counted in bytes.
    Raw {
        /// The header the offset counts from.
        base: Base,
        /// First byte.
        offset: u8,
        /// Number of bytes, at most 16.
        length: u8,
    },
}

/// How the kernel gets at a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    Payload { base: Base, offset: u32 },
    Meta(u32),
    Ct(u32),
    Fib,
    Number { random: bool, modulus: u32 },
    Hash { of: &'static Field, modulus: u32 },
}

/// What must hold before a field may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Ethernet,
    Ip4,
    Ip6,
    Arp,
    Icmp,
    Icmpv6,
}

/// nft's own numbers for types and byte orders; the kernel only keeps them for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// nft's datatype.
    pub(super) datatype: u32,
    /// 1 for the machine's order, 2 for the network's.
    pub(super) order: u32,
}

const HOST: u32 = 1;
const NETWORK: u32 = 2;

impl Field {
    pub(super) fn load(self) -> Load {
        let link = |offset| Load::Payload {
            base: Base::Link,
            offset,
        };
        let network = |offset| Load::Payload {
            base: Base::Network,
            offset,
        };
        let transport = |offset| Load::Payload {
            base: Base::Transport,
            offset,
        };
        match self {
            Self::Ip4Source => network(12),
            Self::Ip4Destination => network(16),
            Self::Ip6Source | Self::ArpSenderEther => network(8),
            Self::Ip6Destination => network(24),
            Self::EtherSource => link(6),
            Self::EtherDestination => link(0),
            Self::ArpSenderIp4 => network(14),
            Self::SourcePort | Self::IcmpType | Self::Icmpv6Type => transport(0),
            Self::DestinationPort => transport(2),
            Self::EtherType => Load::Meta(1),
            Self::Mark => Load::Meta(3),
            Self::InputName => Load::Meta(6),
            Self::OutputName => Load::Meta(7),
            Self::NfProtocol => Load::Meta(15),
            Self::L4Protocol => Load::Meta(16),
            Self::CtState => Load::Ct(0),
            Self::CtDirection => Load::Ct(1),
            Self::CtStatus => Load::Ct(2),
            Self::CtMark => Load::Ct(3),
            Self::CtZone => Load::Ct(17),
            Self::DestinationType => Load::Fib,
            Self::Random(modulus) => Load::Number {
                random: true,
                modulus,
            },
            Self::Turn(modulus) => Load::Number {
                random: false,
                modulus,
            },
            Self::HashIp4Source(modulus) => Load::Hash {
                of: &Self::Ip4Source,
                modulus,
            },
            Self::HashIp6Source(modulus) => Load::Hash {
                of: &Self::Ip6Source,
                modulus,
            },
            Self::Raw { base, offset, .. } => Load::Payload {
                base,
                offset: u32::from(offset),
            },
        }
    }

    /// Bytes, without padding.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Ip4Source | Self::Ip4Destination | Self::ArpSenderIp4 => 4,
            Self::Ip6Source | Self::Ip6Destination => 16,
            Self::EtherSource | Self::EtherDestination | Self::ArpSenderEther => 6,
            Self::SourcePort | Self::DestinationPort | Self::EtherType | Self::CtZone => 2,
            Self::IcmpType | Self::Icmpv6Type | Self::L4Protocol | Self::NfProtocol => 1,
            Self::CtDirection => 1,
            Self::InputName | Self::OutputName => IFNAME,
            Self::Mark | Self::CtMark | Self::CtState | Self::CtStatus => 4,
            Self::DestinationType | Self::Random(_) | Self::Turn(_) => 4,
            Self::HashIp4Source(_) | Self::HashIp6Source(_) => 4,
            Self::Raw { length, .. } => usize::from(length),
        }
    }

    pub(super) fn needs(self) -> Needs {
        match self {
            Self::Ip4Source | Self::Ip4Destination | Self::HashIp4Source(_) => Needs::Ip4,
            Self::Ip6Source | Self::Ip6Destination | Self::HashIp6Source(_) => Needs::Ip6,
            Self::EtherSource | Self::EtherDestination => Needs::Ethernet,
            Self::ArpSenderEther | Self::ArpSenderIp4 => Needs::Arp,
            Self::IcmpType => Needs::Icmp,
            Self::Icmpv6Type => Needs::Icmpv6,
            Self::SourcePort
            | Self::DestinationPort
            | Self::InputName
            | Self::OutputName
            | Self::L4Protocol
            | Self::NfProtocol
            | Self::EtherType
            | Self::Mark
            | Self::CtMark
            | Self::CtZone
            | Self::CtState
            | Self::CtStatus
            | Self::CtDirection
            | Self::DestinationType
            | Self::Random(_)
            | Self::Turn(_)
            | Self::Raw { .. } => Needs::Nothing,
        }
    }

    pub(super) fn listing(self) -> Listing {
        let (datatype, order) = match self {
            Self::Ip4Source | Self::Ip4Destination | Self::ArpSenderIp4 => (7, NETWORK),
            Self::Ip6Source | Self::Ip6Destination => (8, NETWORK),
            Self::EtherSource | Self::EtherDestination | Self::ArpSenderEther => (9, NETWORK),
            Self::SourcePort | Self::DestinationPort => (13, NETWORK),
            Self::EtherType => (10, NETWORK),
            Self::IcmpType => (14, NETWORK),
            Self::Icmpv6Type => (29, NETWORK),
            Self::InputName | Self::OutputName => (41, HOST),
            Self::L4Protocol => (12, HOST),
            Self::NfProtocol => (2, HOST),
            Self::Mark | Self::CtMark => (19, HOST),
            Self::CtZone | Self::Random(_) | Self::Turn(_) => (4, HOST),
            Self::HashIp4Source(_) | Self::HashIp6Source(_) => (4, HOST),
            Self::CtState => (26, HOST),
            Self::CtDirection => (27, HOST),
            Self::CtStatus => (28, HOST),
            Self::DestinationType => (38, HOST),
            Self::Raw { .. } => (4, NETWORK),
        };
        Listing { datatype, order }
    }

    /// Reads a value of this field back; `None` when the kernel's bytes are too few.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Value> {
        let bytes = bytes.get(..self.width())?;
        let four = || <[u8; 4]>::try_from(bytes).ok();
        Some(match self.listing().datatype {
            7 => Value::Ip4(Ipv4Addr::from(four()?)),
            8 => Value::Ip6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
            9 => Value::Mac(bytes.try_into().ok()?),
            10 | 13 => Value::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
            41 => {
                let end = bytes
                    .iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(bytes.len());
                Value::Ifname(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
            }
            _ => match (self, bytes) {
                (Self::Raw { .. }, _) => Value::Bytes(bytes.to_vec()),
                (Self::CtZone, _) => Value::Zone(u16::from_ne_bytes(bytes.try_into().ok()?)),
                (_, [byte]) => Value::Byte(*byte),
                _ => Value::Number(u32::from_ne_bytes(four()?)),
            },
        })
    }
}

/// Bytes of a concatenation as the kernel counts them; a lone field is not padded.
pub(super) fn width(fields: &[Field]) -> usize {
    match fields {
        [single] => single.width(),
        _ => fields
            .iter()
            .map(|field| field.width().next_multiple_of(4))
            .sum(),
    }
}

/// Reads the parts of a concatenation back.
pub(super) fn split(fields: &[Field], mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        values.push(field.decode(bytes)?);
        bytes = bytes
            .get(field.width().next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(values)
}
