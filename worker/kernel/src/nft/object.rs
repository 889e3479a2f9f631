//! Tables, chains, sets and maps, elements.

use super::field::Field;
use super::value::Value;
use std::fmt;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 and IPv6 together.
    Inet,
    /// IPv4.
    Ip,
    /// Frames at one device.
    Netdev,
    /// Frames crossing a bridge.
    Bridge,
    /// IPv6.
    Ip6,
}

impl Family {
    /// The kernel's number.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
        }
    }

    /// The family of this number; `None` for those we never make (ARP).
    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Netdev, Self::Bridge, Self::Ip6]
            .into_iter()
            .find(|family| family.number() == number)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Ip6 => "ip6",
        })
    }
}

/// A table's full name; everything else lives inside one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// Which packets it sees.
    pub family: Family,
    /// Unique within the family and namespace.
    pub name: String,
}

impl Table {
    /// Names a table; nothing is made yet.
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

/// What a base chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Judge packets.
    Filter,
    /// Rewrite addresses; sees only the first packet of a connection.
    Nat,
    /// Judge locally made packets and route them again when a mark changed.
    Route,
}

/// Where a base chain listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
    /// Into the named device (family netdev); about a device that is not there see
    /// [`Egress`](Self::Egress).
    Ingress(String),
    /// Out of the named device (family netdev; Linux 5.16 and later).
    ///
    /// Older kernels refuse a device that is not there and remove the chain with the device;
    /// newer ones (seen with 6.18) keep the chain and attach it whenever the device appears.
    Egress(String),
}

/// What happens to packets that no rule of a base chain decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Let them pass.
    Accept,
    /// Drop them.
    Drop,
}

/// How a base chain is attached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// What it may do.
    pub purpose: Purpose,
    /// Where it listens.
    pub hook: Hook,
    /// Lower runs earlier: -300 before conntrack, -100 destination and 100 source rewriting.
    pub priority: i32,
    /// What becomes of undecided packets.
    pub policy: Policy,
}

/// A chain of rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Unique within the table.
    pub name: String,
    /// `None`: reached only by jump or goto.
    pub attachment: Option<Attachment>,
}

impl Chain {
    /// A chain that others jump to.
    pub fn regular(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            attachment: None,
        }
    }

    /// A chain the kernel calls, with policy accept.
    pub fn base(name: impl Into<String>, purpose: Purpose, hook: Hook, priority: i32) -> Self {
        let attachment = Attachment {
            purpose,
            hook,
            priority,
            policy: Policy::Accept,
        };
        Self {
            name: name.into(),
            attachment: Some(attachment),
        }
    }

    /// The same chain with policy drop; a regular chain has no policy and stays as it is.
    #[must_use]
    pub fn dropping(mut self) -> Self {
        if let Some(attachment) = &mut self.attachment {
            attachment.policy = Policy::Drop;
        }
        self
    }
}

/// A named set, or a map when it has a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Unique within the table, also among maps.
    pub name: String,
    /// Parts of the key.
    pub key: Vec<Field>,
    /// Parts of the data a key leads to.
    pub value: Option<Vec<Field>>,
}

impl Set {
    /// A set of keys.
    pub fn new(name: impl Into<String>, key: impl Into<Vec<Field>>) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
            value: None,
        }
    }

    /// A map from keys to data.
    pub fn map(
        name: impl Into<String>,
        key: impl Into<Vec<Field>>,
        value: impl Into<Vec<Field>>,
    ) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
            value: Some(value.into()),
        }
    }
}

/// One element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// One value per part of the key.
    pub key: Vec<Value>,
    /// One value per part of the data; empty in a set, and when only the key matters (removal).
    pub value: Vec<Value>,
}

impl Element {
    /// An element of a set, or a map's element by its key alone.
    pub fn key(key: impl Into<Vec<Value>>) -> Self {
        Self {
            key: key.into(),
            value: Vec::new(),
        }
    }

    /// An element of a map.
    pub fn pair(key: impl Into<Vec<Value>>, value: impl Into<Vec<Value>>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}
