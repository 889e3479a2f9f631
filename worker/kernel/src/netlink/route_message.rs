//! Between [`Route`] and the kernel's message. Pure.

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteAddress;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::packet_route::route::RouteFlags;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::route::RouteMetric;
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::packet_route::route::RouteType;

use super::Family;
use super::LinkIndex;
use super::Route;
use super::RouteFilter;
use super::RouteKind;

/// What the kernel makes of an IPv6 route without a metric (`IP6_RT_PRIO_USER`).
const V6_DEFAULT_METRIC: u32 = 1024;

pub(super) fn write(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(route.family());
    message.header.destination_prefix_length = route.destination.prefix_len();
    message.header.protocol = route.protocol.into();
    message.header.scope = scope_of(route);
    message.header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Local => RouteType::Local,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
    };
    message.header.flags.set(RouteFlags::Onlink, route.onlink);
    let destination = RouteAttribute::Destination(route.destination.network().into());
    let attributes = [
        (route.destination.prefix_len() > 0).then_some(destination),
        // Tables above 255 do not fit the header; the attribute holds all.
        Some(RouteAttribute::Table(route.table)),
        route.gateway.map(|ip| RouteAttribute::Gateway(ip.into())),
        route.link.map(|link| RouteAttribute::Oif(link.0)),
        route.source.map(|ip| RouteAttribute::PrefSource(ip.into())),
        route.metric.map(RouteAttribute::Priority),
        route
            .mtu
            .map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])),
    ];
    message.attributes = attributes.into_iter().flatten().collect();
    message
}

/// The request for a dump; the kernel filters by table and link, older kernels may not.
pub(super) fn dump_request(family: Family, filter: &RouteFilter) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(family);
    message
        .attributes
        .extend(filter.table.map(RouteAttribute::Table));
    message
        .attributes
        .extend(filter.link.map(|link| RouteAttribute::Oif(link.0)));
    message
}

pub(super) fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// As iproute2 chooses it: how far away what the route names directly is. IPv6 has no scopes.
fn scope_of(route: &Route) -> RouteScope {
    match (route.kind, route.gateway) {
        (RouteKind::Local, _) => RouteScope::Host,
        (RouteKind::Unicast, None) => RouteScope::Link,
        (RouteKind::Unicast, Some(_)) | (RouteKind::Blackhole | RouteKind::Unreachable, _) => {
            RouteScope::Universe
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel reports far more than is of use"
)]
pub(super) fn read(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let (any, family) = match header.address_family {
        AddressFamily::Inet => (IpAddr::from([0; 4]), Family::V4),
        AddressFamily::Inet6 => (IpAddr::from([0; 16]), Family::V6),
        _ => return None,
    };
    let kind = match header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        _ => return None,
    };
    let mut route = Route {
        destination: IpNet::new(any, header.destination_prefix_length).ok()?,
        kind,
        gateway: None,
        link: None,
        onlink: header.flags.contains(RouteFlags::Onlink),
        source: None,
        table: u32::from(header.table),
        metric: None,
        mtu: None,
        protocol: header.protocol.into(),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::MultiPath(_) => return None,
            RouteAttribute::Destination(to) => {
                route.destination =
                    IpNet::new(read_ip(to)?, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Gateway(ip) => route.gateway = read_ip(ip),
            RouteAttribute::Oif(index) => route.link = Some(LinkIndex(*index)),
            RouteAttribute::PrefSource(ip) => route.source = read_ip(ip),
            RouteAttribute::Priority(metric) => route.metric = Some(*metric),
            RouteAttribute::Metrics(metrics) => {
                route.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    if family == Family::V6 {
        route.metric = route.metric.filter(|metric| *metric != V6_DEFAULT_METRIC);
    }
    Some(route)
}

pub(super) fn read_ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(ip) = address {
        return Some(IpAddr::V4(*ip));
    }
    if let RouteAddress::Inet6(ip) = address {
        return Some(IpAddr::V6(*ip));
    }
    None
}
