//! Routes.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;

use super::Device;
use super::LinkIndex;
use super::Netlink;
use super::NetlinkError;
use super::Operation;
use super::collect;
use super::route_message::dump_request;
use super::route_message::read;
use super::route_message::write;
use super::settled;

/// The table the kernel looks up last and everybody uses.
pub const TABLE_MAIN: u32 = 254;

/// The table of the node's own addresses, looked up first.
pub const TABLE_LOCAL: u32 = 255;

/// The origin our routes and rules carry (`proto 87`), so that leftovers are recognised. The number
/// is free in iproute2's `rt_protos` and the kernel's `rtnetlink.h`.
pub const PROTOCOL_OURS: u8 = 87;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `ip`.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// What happens to packets on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// They are sent on.
    Unicast,
    /// They are the node's own.
    Local,
    /// They vanish.
    Blackhole,
    /// Their sender is told that there is no way.
    Unreachable,
}

/// A route. Make one with [`Route::to`] and the methods that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to; the prefix of length 0 is the default route.
    pub destination: IpNet,
    /// What happens to the packets.
    pub kind: RouteKind,
    /// The next hop, of the destination's family.
    pub gateway: Option<IpAddr>,
    /// The link they leave by.
    pub link: Option<LinkIndex>,
    /// Take the gateway for reachable on the link whatever its address.
    pub onlink: bool,
    /// The source address of packets that have none yet.
    pub source: Option<IpAddr>,
    /// The table it is in.
    pub table: u32,
    /// Among equals the least wins; `None` is the kernel's default (0 for IPv4, 1024 for IPv6).
    pub metric: Option<u32>,
    /// Largest packet in bytes on this route, if less than the link's.
    pub mtu: Option<u32>,
    /// Who made it; ours carry [`PROTOCOL_OURS`].
    pub protocol: u8,
}

impl Route {
    /// A unicast route of ours in the main table; give it a link or a gateway.
    #[must_use]
    pub fn to(destination: IpNet) -> Self {
        Self {
            destination: destination.trunc(),
            kind: RouteKind::Unicast,
            gateway: None,
            link: None,
            onlink: false,
            source: None,
            table: TABLE_MAIN,
            metric: None,
            mtu: None,
            protocol: PROTOCOL_OURS,
        }
    }

    /// Through this next hop.
    #[must_use]
    pub fn via(self, gateway: IpAddr) -> Self {
        Self {
            gateway: Some(gateway),
            ..self
        }
    }

    /// By this link.
    #[must_use]
    pub fn by(self, device: &Device) -> Self {
        Self {
            link: Some(device.index()),
            ..self
        }
    }

    /// With a gateway that need not lie in a subnet of the link.
    #[must_use]
    pub fn onlink(self) -> Self {
        Self {
            onlink: true,
            ..self
        }
    }

    /// With this source address.
    #[must_use]
    pub fn source(self, source: IpAddr) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// In this table.
    #[must_use]
    pub fn table(self, table: u32) -> Self {
        Self { table, ..self }
    }

    /// Of this kind.
    #[must_use]
    pub fn kind(self, kind: RouteKind) -> Self {
        Self { kind, ..self }
    }

    /// With this metric.
    #[must_use]
    pub fn metric(self, metric: u32) -> Self {
        Self {
            metric: Some(metric),
            ..self
        }
    }

    /// With packets of at most this many bytes.
    #[must_use]
    pub fn mtu(self, mtu: u32) -> Self {
        Self {
            mtu: Some(mtu),
            ..self
        }
    }

    /// The family of the route.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.destination.addr())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{:?} ", self.kind)?;
        }
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(link) = self.link {
            write!(f, " by link {link}")?;
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        write!(f, " in table {}", self.table)
    }
}

/// Which routes to list. The default is every route that is ours, of both families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteFilter {
    /// Only this family.
    pub family: Option<Family>,
    /// Only this table.
    pub table: Option<u32>,
    /// Only by this link.
    pub link: Option<LinkIndex>,
    /// Also those that others made.
    pub foreign: bool,
}

impl Netlink {
    /// Adds a route, in place of one with the same destination, table and metric (whoever made it).
    ///
    /// # Errors
    /// When the link is gone or down, or the gateway cannot be reached by it.
    pub async fn replace_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let answer = self
            .handle
            .route()
            .add(write(route))
            .replace()
            .execute()
            .await;
        self.judge(
            || Operation::ReplaceRoute {
                route: Box::new(*route),
            },
            answer,
        )
    }

    /// Deletes a route that matches in everything `route` says, its maker included. Absent is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let answer = self.handle.route().del(write(route)).execute().await;
        let answer = settled(answer, &[Errno::ESRCH, Errno::ENODEV]);
        self.judge(
            || Operation::DeleteRoute {
                route: Box::new(*route),
            },
            answer,
        )
    }

    /// The routes that `filter` selects. Routes with several next hops are not listed; we make none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn routes(&self, filter: &RouteFilter) -> Result<Vec<Route>, NetlinkError> {
        let families = filter
            .family
            .map_or(vec![Family::V4, Family::V6], |family| vec![family]);
        let mut found = Vec::new();
        for family in families {
            let answer = collect(
                self.handle
                    .route()
                    .get(dump_request(family, filter))
                    .execute(),
            );
            let answer = match answer.await {
                // A table that has never been used does not exist.
                Err(rtnetlink::Error::NetlinkError(refusal))
                    if refusal.raw_code() == -nix::libc::ENOENT =>
                {
                    Ok(Vec::new())
                }
                answer => answer,
            };
            let messages = self.judge(|| Operation::ListRoutes, answer)?;
            found.extend(messages.iter().filter_map(read).filter(|route| {
                (filter.foreign || route.protocol == PROTOCOL_OURS)
                    && filter.table.is_none_or(|table| table == route.table)
                    && filter.link.is_none_or(|link| Some(link) == route.link)
            }));
        }
        Ok(found)
    }
}
