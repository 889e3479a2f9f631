//! What a rule says, in words close to nft's.

use super::field::Field;
use super::value::Value;
use std::net::IpAddr;

/// One condition or action of a rule; they are tried in order, and a condition that does not
/// hold ends the rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A field, masked when there is a mask, equals the bytes (or differs from them).
    Compare {
        /// What is read.
        field: Field,
        /// Bits that count; as wide as the field.
        mask: Option<Vec<u8>>,
        /// True: the rule goes on when they differ.
        differs: bool,
        /// In the kernel's own order; shorter than the field: only its beginning counts.
        bytes: Vec<u8>,
    },
    /// At least one of these bits is set in the field.
    AnyBit {
        /// A field of four bytes in the machine's order.
        field: Field,
        /// The bits.
        bits: u32,
    },
    /// The field is one of these values.
    OneOf {
        /// What is read.
        field: Field,
        /// An anonymous set is made of them.
        values: Vec<Value>,
    },
    /// The fields together are (or are not) an element of the named set.
    InSet {
        /// One per part of the set's key.
        key: Vec<Field>,
        /// The set's name.
        set: String,
        /// True: the rule goes on when they are no element.
        absent: bool,
    },
    /// Writes into the packet or its connection.
    Write {
        /// What is written.
        target: Target,
        /// What is written into it; without an element in the map the rule ends.
        source: Source,
    },
    /// Rewrites the destination and ends the rule; without an element in the map the next rule
    /// is tried.
    Dnat(Destination),
    /// Rewrites the destination to this host's own address, keeping the port when `None`.
    Redirect(Option<u16>),
    /// Rewrites the source to the address of the interface the packet leaves by.
    Masquerade,
    /// Drops the packet and tells the sender.
    Reject(Reject),
    /// Counts packets and bytes.
    Counter,
    /// Keeps the packet out of connection tracking.
    Notrack,
    /// Decides.
    Verdict(Verdict),
    /// Cannot be expressed; a batch with it is refused before anything is sent.
    Impossible(String),
}

/// Where [`Expr::Write`] writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `meta mark`
    Mark,
    /// `ct mark`
    CtMark,
    /// `ct original zone`: only packets of the original direction are looked up in the zone.
    CtOriginalZone,
    /// `ether daddr`
    EtherDestination,
    /// `ether saddr`
    EtherSource,
}

/// Where [`Expr::Write`] takes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Always the same.
    Value(Value),
    /// Copied from a field.
    Field(Field),
    /// What the named map holds for these fields.
    Map {
        /// One per part of the map's key.
        key: Vec<Field>,
        /// The map's name.
        map: String,
    },
}

/// Where [`Expr::Dnat`] sends a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A fixed address, and port when given.
    Fixed(IpAddr, Option<u16>),
    /// What the named map holds for these fields.
    Map {
        /// True for IPv6.
        v6: bool,
        /// One per part of the map's key.
        key: Vec<Field>,
        /// The map's name.
        map: String,
        /// True when the map's data is an address and a port.
        port: bool,
    },
}

/// How the sender learns of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// `tcp reset`; applies to TCP only and checks that.
    TcpReset,
    /// `icmp host-unreachable`; applies to IPv4 only and checks that.
    IcmpHostUnreachable,
    /// `icmpv6 addr-unreachable`; applies to IPv6 only and checks that.
    Icmpv6AddressUnreachable,
    /// `icmpx host-unreachable`: whichever of the two fits (families inet and bridge).
    HostUnreachable,
    /// `icmpx port-unreachable`: what a host says that has nobody at that port.
    PortUnreachable,
}

/// The end of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Let the packet pass this hook's chain.
    Accept,
    /// Drop it.
    Drop,
    /// Back to the calling chain.
    Return,
    /// To another chain, and back when it does not decide.
    Jump(String),
    /// To another chain, not back.
    Goto(String),
}

impl Expr {
    /// `field value`
    pub fn is(field: Field, value: impl Into<Value>) -> Self {
        Self::compare(field, value.into(), false)
    }

    /// `field != value`
    pub fn is_not(field: Field, value: impl Into<Value>) -> Self {
        Self::compare(field, value.into(), true)
    }

    fn compare(field: Field, value: Value, differs: bool) -> Self {
        match value.fault() {
            Some(fault) => Self::Impossible(fault),
            None => Self::Compare {
                field,
                mask: None,
                differs,
                bytes: value.encode(),
            },
        }
    }

    /// `iifname "name"`; a `*` at the end stands for any rest.
    pub fn iifname(name: &str) -> Self {
        Self::ifname(Field::InputName, name, false)
    }

    /// `iifname != "name"`
    pub fn iifname_not(name: &str) -> Self {
        Self::ifname(Field::InputName, name, true)
    }

    /// `oifname "name"`; a `*` at the end stands for any rest.
    pub fn oifname(name: &str) -> Self {
        Self::ifname(Field::OutputName, name, false)
    }

    /// `oifname != "name"`
    pub fn oifname_not(name: &str) -> Self {
        Self::ifname(Field::OutputName, name, true)
    }

    fn ifname(field: Field, name: &str, differs: bool) -> Self {
        let Some(prefix) = name.strip_suffix('*') else {
            return Self::compare(field, Value::Ifname(name.to_owned()), differs);
        };
        match Value::Ifname(prefix.to_owned()).fault() {
            Some(fault) => Self::Impossible(fault),
            // Without the end mark only the beginning is compared.
            None => Self::Compare {
                field,
                mask: None,
                differs,
                bytes: prefix.into(),
            },
        }
    }

    /// `field network/prefix`; the network's own host bits are ignored.
    pub fn in_network(field: Field, network: IpAddr, prefix: u8) -> Self {
        let mut bytes = Value::from(network).encode();
        if usize::from(prefix) > bytes.len() * 8 {
            return Self::Impossible(format!("{network}/{prefix} is no network"));
        }
        let mask: Vec<u8> = (0..bytes.len())
            .map(|at| match usize::from(prefix).saturating_sub(at * 8) {
                0 => 0,
                bits @ 1..8 => 0xff << (8 - bits),
                _ => 0xff,
            })
            .collect();
        bytes
            .iter_mut()
            .zip(&mask)
            .for_each(|(byte, mask)| *byte &= mask);
        Self::Compare {
            field,
            mask: Some(mask),
            differs: false,
            bytes,
        }
    }

    /// `field and mask == bits`, for marks.
    pub fn masked(field: Field, mask: u32, bits: u32) -> Self {
        let mask = Some(mask.to_ne_bytes().to_vec());
        Self::Compare {
            field,
            mask,
            differs: false,
            bytes: bits.to_ne_bytes().to_vec(),
        }
    }

    /// `meta nfproto ipv4`
    pub fn ipv4() -> Self {
        Self::is(Field::NfProtocol, Value::Byte(2))
    }

    /// `meta nfproto ipv6`
    pub fn ipv6() -> Self {
        Self::is(Field::NfProtocol, Value::Byte(10))
    }

    /// `meta l4proto tcp`
    pub fn tcp() -> Self {
        Self::is(Field::L4Protocol, Value::TCP)
    }

    /// `meta l4proto udp`
    pub fn udp() -> Self {
        Self::is(Field::L4Protocol, Value::UDP)
    }

    /// `th dport port`; after [`tcp`](Self::tcp) or [`udp`](Self::udp) it is theirs.
    pub fn dport(port: u16) -> Self {
        Self::is(Field::DestinationPort, Value::Port(port))
    }

    /// `fib daddr type local`
    pub fn to_this_host() -> Self {
        Self::is(Field::DestinationType, Value::Number(2))
    }

    /// `ct state established,related`
    pub fn established() -> Self {
        Self::AnyBit {
            field: Field::CtState,
            bits: 0x6,
        }
    }

    /// `ct status dnat`: the destination of this connection was rewritten.
    pub fn was_redirected() -> Self {
        Self::AnyBit {
            field: Field::CtStatus,
            bits: 0x20,
        }
    }

    /// `ct direction original`
    pub fn original_direction() -> Self {
        Self::is(Field::CtDirection, Value::Byte(0))
    }

    /// `ct direction reply`
    pub fn reply_direction() -> Self {
        Self::is(Field::CtDirection, Value::Byte(1))
    }

    /// `key @set`
    pub fn in_set(key: impl Into<Vec<Field>>, set: impl Into<String>) -> Self {
        Self::InSet {
            key: key.into(),
            set: set.into(),
            absent: false,
        }
    }

    /// `key != @set`
    pub fn not_in_set(key: impl Into<Vec<Field>>, set: impl Into<String>) -> Self {
        Self::InSet {
            key: key.into(),
            set: set.into(),
            absent: true,
        }
    }

    /// `field { values }`
    pub fn one_of(field: Field, values: impl Into<Vec<Value>>) -> Self {
        Self::OneOf {
            field,
            values: values.into(),
        }
    }

    /// `target set key map @map`
    pub fn write_from_map(
        target: Target,
        key: impl Into<Vec<Field>>,
        map: impl Into<String>,
    ) -> Self {
        let source = Source::Map {
            key: key.into(),
            map: map.into(),
        };
        Self::Write { target, source }
    }

    /// `dnat to address:port`
    pub fn dnat_to(address: IpAddr, port: Option<u16>) -> Self {
        Self::Dnat(Destination::Fixed(address, port))
    }

    /// `dnat ip to key map @map`, IPv6 when `v6`, and to `address . port` when `port`.
    pub fn dnat_map(
        v6: bool,
        key: impl Into<Vec<Field>>,
        map: impl Into<String>,
        port: bool,
    ) -> Self {
        Self::Dnat(Destination::Map {
            v6,
            key: key.into(),
            map: map.into(),
            port,
        })
    }

    /// `accept`
    pub fn accept() -> Self {
        Self::Verdict(Verdict::Accept)
    }

    /// `drop`
    pub fn drop() -> Self {
        Self::Verdict(Verdict::Drop)
    }

    /// `jump chain`
    pub fn jump(chain: impl Into<String>) -> Self {
        Self::Verdict(Verdict::Jump(chain.into()))
    }

    /// `goto chain`
    pub fn goto(chain: impl Into<String>) -> Self {
        Self::Verdict(Verdict::Goto(chain.into()))
    }
}
