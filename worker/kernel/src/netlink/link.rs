//! What a link looks like when observed.

use std::fmt;
use std::net::IpAddr;

use super::Alias;
use super::IfName;
use super::Mac;
use super::PortFlags;
use super::Vni;

/// The number of a link in its namespace. Numbers are not reused soon, but do not outlive the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkIndex(pub u32);

impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of device a link is, with what is fixed at its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A device with no kind: hardware, or `lo`.
    Plain,
    /// One end of a pair.
    Veth,
    /// A software switch.
    Bridge {
        /// Whether it watches group memberships. Ours do not: their groups are never flooded.
        mcast_snooping: bool,
    },
    /// A VXLAN endpoint.
    Vxlan(VxlanState),
    /// A kernel WireGuard device.
    Wireguard,
    /// A TUN or TAP device.
    Tun,
    /// Any other kind, as the kernel calls it.
    Other(String),
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain device",
            Self::Veth => "veth",
            Self::Bridge { .. } => "bridge",
            Self::Vxlan(_) => "vxlan",
            Self::Wireguard => "wireguard",
            Self::Tun => "tun",
            Self::Other(kind) => kind,
        })
    }
}

/// The options of an existing VXLAN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VxlanState {
    /// The network identifier.
    pub vni: Vni,
    /// The address outer packets are sent from, if one was given.
    pub local: Option<IpAddr>,
    /// UDP port at both ends.
    pub port: u16,
    /// Whether it learns peers from traffic.
    pub learning: bool,
}

/// The state of operation (RFC 2863), reduced to what matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperState {
    /// Ready to carry traffic.
    Up,
    /// The driver does not say; most virtual devices when up.
    Unknown,
    /// The layer below is missing, as on a veth whose other end is down.
    LowerDown,
    /// Not ready for another reason.
    Down,
}

/// Traffic since the link was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames dropped on arrival.
    pub rx_dropped: u64,
    /// Frames dropped on departure.
    pub tx_dropped: u64,
}

/// A link as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: LinkIndex,
    /// Its name.
    pub name: IfName,
    /// What it is.
    pub kind: LinkKind,
    /// Largest packet in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Ethernet address; absent on devices without one.
    pub mac: Option<Mac>,
    /// Alias as the kernel has it, ours or not.
    pub alias: Option<String>,
    /// Whether it is set up (administratively).
    pub up: bool,
    /// Whether it operates.
    pub oper: OperState,
    /// The bridge it is a port of.
    pub master: Option<LinkIndex>,
    /// The link below or at the other end; in another namespace if `peer_netns` is set.
    pub peer: Option<LinkIndex>,
    /// This namespace's number for the namespace of the peer, or of a VXLAN device's socket.
    pub peer_netns: Option<i32>,
    /// Whether the kernel gives it IPv6 addresses of its own making; `None` without IPv6.
    pub generates_addresses: Option<bool>,
    /// Port flags, if it is a port of a bridge.
    pub port: Option<PortFlags>,
    /// Traffic so far.
    pub counters: Counters,
}

impl Link {
    /// What follows `weft:` in the alias; `None` when the link is not ours.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.alias.as_deref()?.strip_prefix(Alias::PREFIX)
    }
}
