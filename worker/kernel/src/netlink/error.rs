use std::fmt;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::IfName;
use super::LinkIndex;
use super::Mac;
use super::Route;
use super::Rule;
use super::Vni;
use crate::netns::NetnsError;
use crate::netns::Place;

/// A kernel change or question that failed: what was asked, where, and why not.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} in {place}")]
pub struct NetlinkError {
    /// What was asked, with its object.
    pub operation: Operation,
    /// The namespace it was asked in.
    pub place: Place,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

impl NetlinkError {
    /// The kernel's error number, if the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match &self.cause {
            Cause::Kernel(refusal) => refusal.raw_os_error(),
            Cause::NoSuchLink
            | Cause::Differs { .. }
            | Cause::NoRuntime
            | Cause::Namespace(_)
            | Cause::Closed
            | Cause::Protocol(_) => None,
        }
    }

    /// Whether the link the operation was about does not exist (any more).
    #[must_use]
    pub fn is_missing_link(&self) -> bool {
        matches!(self.cause, Cause::NoSuchLink) || self.errno() == Some(nix::libc::ENODEV)
    }

    /// Whether a link of that name exists but is not the one asked for: delete it and try again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.cause, Cause::Differs { .. })
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No link of that name or index.
    #[error("there is no such link")]
    NoSuchLink,
    /// A link of that name is there, but something that is fixed at creation differs.
    #[error("a link of that name exists with another {what}: {found}")]
    Differs {
        /// What differs.
        what: &'static str,
        /// What the existing link has.
        found: String,
    },
    /// The kernel refused.
    #[error("{0}")]
    Kernel(io::Error),
    /// The namespace could not be entered.
    #[error("the namespace cannot be used")]
    Namespace(#[source] NetnsError),
    /// Called outside an async runtime.
    #[error("there is no async runtime to serve the netlink socket")]
    NoRuntime,
    /// The connection's task has ended.
    #[error("the netlink connection is closed")]
    Closed,
    /// An answer that makes no sense.
    #[error("the kernel's answer was not understood: {0}")]
    Protocol(String),
}

impl From<rtnetlink::Error> for Cause {
    fn from(error: rtnetlink::Error) -> Self {
        if let rtnetlink::Error::NetlinkError(refusal) = error {
            return Self::Kernel(refusal.to_io());
        }
        if error == rtnetlink::Error::RequestFailed {
            return Self::Closed;
        }
        Self::Protocol(error.to_string())
    }
}

/// One variant per operation, with its object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each variant reads as its Display, which is below"
)]
pub enum Operation {
    Connect,
    Watch,
    ListLinks,
    ReadLink { link: IfName },
    CreateBridge { link: IfName },
    CreateVeth { link: IfName, peer: IfName },
    CreateVxlan { link: IfName, vni: Vni },
    DeleteLink { link: IfName },
    SetUp { link: IfName },
    SetDown { link: IfName },
    SetMtu { link: IfName, mtu: u32 },
    SetMac { link: IfName, mac: Mac },
    MarkOwned { link: IfName },
    SetMaster { link: IfName, master: IfName },
    ClearMaster { link: IfName },
    Rename { link: IfName, to: IfName },
    Move { link: IfName, to: Place },
    SetPortFlags { link: IfName },
    AddAddress { link: IfName, address: IpNet },
    DeleteAddress { link: IfName, address: IpNet },
    ListAddresses,
    ReplaceRoute { route: Box<Route> },
    DeleteRoute { route: Box<Route> },
    ListRoutes,
    AddRule { rule: Box<Rule> },
    DeleteRule { rule: Box<Rule> },
    ListRules,
    SetNeighbour { link: IfName, ip: IpAddr },
    DeleteNeighbour { link: IfName, ip: IpAddr },
    ListNeighbours { link: IfName },
    SetForwarding { link: IfName, mac: Mac },
    DeleteForwarding { link: IfName, mac: Mac },
    ListForwarding { link: IfName },
    LookUpPath { to: IpAddr },
    ReadLinkByIndex { index: LinkIndex },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("open a netlink connection"),
            Self::Watch => f.write_str("subscribe to link changes"),
            Self::ListLinks => f.write_str("list the links"),
            Self::ReadLink { link } => write!(f, "read link {link}"),
            Self::ReadLinkByIndex { index } => write!(f, "read link number {index}"),
            Self::CreateBridge { link } => write!(f, "create bridge {link}"),
            Self::CreateVeth { link, peer } => write!(f, "create veth pair {link} and {peer}"),
            Self::CreateVxlan { link, vni } => write!(f, "create VXLAN device {link} (id {vni})"),
            Self::DeleteLink { link } => write!(f, "delete link {link}"),
            Self::SetUp { link } => write!(f, "set link {link} up"),
            Self::SetDown { link } => write!(f, "set link {link} down"),
            Self::SetMtu { link, mtu } => write!(f, "set the MTU of link {link} to {mtu} bytes"),
            Self::SetMac { link, mac } => write!(f, "set the address of link {link} to {mac}"),
            Self::MarkOwned { link } => write!(f, "set the alias of link {link}"),
            Self::SetMaster { link, master } => write!(f, "attach link {link} to {master}"),
            Self::ClearMaster { link } => write!(f, "detach link {link}"),
            Self::Rename { link, to } => write!(f, "rename link {link} to {to}"),
            Self::Move { link, to } => write!(f, "move link {link} to {to}"),
            Self::SetPortFlags { link } => write!(f, "set the bridge port flags of link {link}"),
            Self::AddAddress { link, address } => write!(f, "add address {address} to {link}"),
            Self::DeleteAddress { link, address } => {
                write!(f, "delete address {address} from {link}")
            }
            Self::ListAddresses => f.write_str("list the addresses"),
            Self::ReplaceRoute { route } => write!(f, "set route {route}"),
            Self::DeleteRoute { route } => write!(f, "delete route {route}"),
            Self::ListRoutes => f.write_str("list the routes"),
            Self::AddRule { rule } => write!(f, "add rule {rule}"),
            Self::DeleteRule { rule } => write!(f, "delete rule {rule}"),
            Self::ListRules => f.write_str("list the rules"),
            Self::SetNeighbour { link, ip } => write!(f, "set neighbour {ip} on {link}"),
            Self::DeleteNeighbour { link, ip } => write!(f, "delete neighbour {ip} from {link}"),
            Self::ListNeighbours { link } => write!(f, "list the neighbours on {link}"),
            Self::SetForwarding { link, mac } => write!(f, "set forwarding of {mac} on {link}"),
            Self::DeleteForwarding { link, mac } => {
                write!(f, "delete forwarding of {mac} from {link}")
            }
            Self::ListForwarding { link } => write!(f, "list the forwarding entries of {link}"),
            Self::LookUpPath { to } => write!(f, "look up the path to {to}"),
        }
    }
}
