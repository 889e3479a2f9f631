//! Readers of single fields, shared by all objects.

use crate::convert::ConvertError;
use crate::convert::limits::SUBNET_PREFIXES_V4;
use crate::convert::limits::SUBNET_PREFIXES_V6;
use crate::id::NetworkId;
use crate::name::Name;
use crate::spec::Generic;
use crate::spec::Labels;
use crate::wire;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// Keeps error messages bounded, whatever a peer sent.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("{short:?}")
}

/// A text of a type whose parser says well what is wrong: identifiers, names, constraints.
pub(super) fn parse<T>(field: &str, text: &str) -> Result<T, ConvertError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse()
        .map_err(|error: T::Err| ConvertError::at(field, error.to_string()))
}

/// A message that must be there.
pub(super) fn required<T>(field: &str, message: Option<T>) -> Result<T, ConvertError> {
    message.ok_or_else(|| ConvertError::at(field, "is missing"))
}

/// A text where empty stands for absent.
pub(super) fn optional<T>(
    field: &str,
    text: &str,
    read: impl Fn(&str, &str) -> Result<T, ConvertError>,
) -> Result<Option<T>, ConvertError> {
    if text.is_empty() {
        Ok(None)
    } else {
        read(field, text).map(Some)
    }
}

/// Each item of a list; errors name the index. Items that are no messages have an empty field.
pub(super) fn list<W, D>(
    field: &str,
    items: impl IntoIterator<Item = W>,
    read: impl Fn(W) -> Result<D, ConvertError>,
) -> Result<Vec<D>, ConvertError> {
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| read(item).map_err(|error| error.within(&format!("{field}[{index}]"))))
        .collect()
}

/// A number of an enum; zero is refused.
pub(super) fn enumeration<W, D>(field: &str, number: i32) -> Result<D, ConvertError>
where
    W: TryFrom<i32>,
    D: TryFrom<W, Error = ConvertError>,
{
    let wire = W::try_from(number).map_err(|_| {
        ConvertError::at(
            field,
            format!("{number} is unknown here: the sender may be of a newer version"),
        )
    })?;
    D::try_from(wire).map_err(|error| error.within(field))
}

/// A number of an enum; zero stands for the default.
pub(super) fn enumeration_or<W, D>(field: &str, number: i32, default: D) -> Result<D, ConvertError>
where
    W: TryFrom<i32>,
    D: TryFrom<W, Error = ConvertError>,
{
    if number == 0 {
        Ok(default)
    } else {
        enumeration::<W, D>(field, number)
    }
}

/// An address without a port.
pub(super) fn ip(field: &str, text: &str) -> Result<IpAddr, ConvertError> {
    text.parse()
        .map_err(|_| ConvertError::at(field, format!("{} is no IP address", shown(text))))
}

/// An IPv4 address.
pub(super) fn ipv4(field: &str, text: &str) -> Result<std::net::Ipv4Addr, ConvertError> {
    text.parse()
        .map_err(|_| ConvertError::at(field, format!("{} is no IPv4 address", shown(text))))
}

/// An address with a port.
pub(super) fn socket(field: &str, text: &str) -> Result<SocketAddr, ConvertError> {
    text.parse().map_err(|_| {
        ConvertError::at(
            field,
            format!(
                "{} is no address with a port: write it like 192.0.2.1:2377",
                shown(text)
            ),
        )
    })
}

/// A port that traffic can be sent to.
pub(super) fn port(field: &str, number: u32) -> Result<u16, ConvertError> {
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(ConvertError::at(
            field,
            format!("{number} is no port: use 1 to 65535"),
        )),
    }
}

/// A block of addresses, written by its first one.
pub(super) fn cidr(field: &str, text: &str) -> Result<IpNet, ConvertError> {
    let net: IpNet = text.parse().map_err(|_| {
        ConvertError::at(
            field,
            format!("{} is no CIDR: write it like 10.1.2.0/24", shown(text)),
        )
    })?;
    if net.addr() != net.network() {
        return Err(ConvertError::at(
            field,
            format!("{net} has host bits set: did you mean {}?", net.trunc()),
        ));
    }
    Ok(net)
}

/// A block of addresses that a network can have.
pub(super) fn subnet(field: &str, text: &str) -> Result<IpNet, ConvertError> {
    let net = cidr(field, text)?;
    let (kind, allowed) = match net {
        IpNet::V4(_) => ("IPv4", SUBNET_PREFIXES_V4),
        IpNet::V6(_) => ("IPv6", SUBNET_PREFIXES_V6),
    };
    if !allowed.contains(&net.prefix_len()) {
        return Err(ConvertError::at(
            field,
            format!(
                "{net} cannot be a subnet: use an {kind} prefix length of {} to {}",
                allowed.start(),
                allowed.end()
            ),
        ));
    }
    let first = net.network();
    if first.is_loopback() || first.is_multicast() || first.is_unspecified() {
        return Err(ConvertError::at(
            field,
            format!("{net} cannot be a subnet: its addresses are reserved"),
        ));
    }
    Ok(net)
}

/// A duration in whole milliseconds; longer than the wire can say becomes the longest it can.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Addresses by network, from pairs of network and address.
pub(super) fn addresses(
    field: &str,
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<NetworkId, IpAddr>, ConvertError> {
    let mut map = BTreeMap::new();
    for (index, (network, addr)) in pairs.into_iter().enumerate() {
        let item = format!("{field}[{index}]");
        let network = parse::<NetworkId>("network_id", &network).map_err(|e| e.within(&item))?;
        let addr = ip("addr", &addr).map_err(|e| e.within(&item))?;
        if map.insert(network, addr).is_some() {
            return Err(ConvertError::at(
                &item,
                format!("network {network} has an address already"),
            ));
        }
    }
    Ok(map)
}

/// Labels, as free pairs of key and value.
///
/// # Errors
/// An empty key, or one that is given twice; the path begins with `labels`.
pub fn labels(pairs: Vec<wire::Label>) -> Result<Labels, ConvertError> {
    let mut map = Labels::new();
    for (index, wire::Label { key, value }) in pairs.into_iter().enumerate() {
        let field = format!("labels[{index}].key");
        if key.is_empty() {
            return Err(ConvertError::at(&field, "is empty: write KEY=VALUE"));
        }
        match map.entry(key) {
            Entry::Vacant(free) => {
                free.insert(value);
            }
            Entry::Occupied(taken) => {
                return Err(ConvertError::at(
                    &field,
                    format!("{} is given twice", shown(taken.key())),
                ));
            }
        }
    }
    Ok(map)
}

/// Labels on the wire, in the order of their keys.
pub(super) fn wire_labels(labels: &Labels) -> Vec<wire::Label> {
    labels
        .iter()
        .map(|(key, value)| wire::Label {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// Counted resources, as they travel.
pub(super) fn wire_generic(generic: &Generic) -> Vec<wire::GenericResource> {
    let pairs = generic.iter();
    pairs
        .map(|(name, count)| wire::GenericResource {
            name: name.clone(),
            count: *count,
        })
        .collect()
}

/// The inverse of [`wire_generic`]. Zero of something is nothing.
pub(super) fn generic(
    field: &str,
    wire: Vec<wire::GenericResource>,
) -> Result<Generic, ConvertError> {
    let mut generic = Generic::new();
    for (index, resource) in wire.into_iter().enumerate() {
        let refuse = |problem| ConvertError::at(&format!("{field}[{index}].name"), problem);
        let name: Name = resource
            .name
            .parse()
            .map_err(|err| refuse(format!("{err}")))?;
        if resource.count == 0 {
            continue;
        }
        if generic.insert(name.to_string(), resource.count).is_some() {
            return Err(refuse(format!("{name} is given twice")));
        }
    }
    Ok(generic)
}
