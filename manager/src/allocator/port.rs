//! Published ports.

use crate::allocator::AllocateError;
use crate::store::Claim;
use crate::store::State;
use weft_proto::ServiceId;
use weft_proto::defaults;
use weft_proto::object::ObjectKey;
use weft_proto::spec::Port;

/// The ports of a service, each with a published one. `keep`: what it has now; a port that the spec
/// leaves open keeps the number it was given before.
pub fn choose_ports(
    state: &State,
    service: ServiceId,
    asked: &[Port],
    keep: &[Port],
) -> Result<Vec<Port>, AllocateError> {
    let mut chosen: Vec<Port> = Vec::new();
    // Asked-for numbers first, so that an automatic one never takes what the same spec names.
    let (named, open): (Vec<&Port>, Vec<&Port>) =
        asked.iter().partition(|port| port.published.is_some());
    for port in named {
        if let Some(published) = port.published
            && let Some(holder) = state.holder(&Claim::PublishedPort(port.protocol, published))
            && holder != ObjectKey::Service(service)
        {
            let holder = match holder {
                ObjectKey::Service(id) => state.service(id).map(|s| s.spec.name.to_string()),
                ObjectKey::Cluster
                | ObjectKey::Node(_)
                | ObjectKey::Network(_)
                | ObjectKey::Task(_)
                | ObjectKey::Material(..)
                | ObjectKey::KeyRing
                | ObjectKey::User(_)
                | ObjectKey::JoinToken(_) => None,
            };
            return Err(AllocateError::PortTaken {
                port: published,
                protocol: port.protocol,
                holder: holder.unwrap_or_default(),
            });
        }
        chosen.push(*port);
    }
    for port in open {
        let before = keep
            .iter()
            .filter(|old| old.protocol == port.protocol && old.target == port.target)
            .filter_map(|old| old.published);
        let published = before
            .chain(defaults::AUTO_PORTS)
            .find(|number| {
                let holder = state.holder(&Claim::PublishedPort(port.protocol, *number));
                let ours = holder.is_none_or(|holder| holder == ObjectKey::Service(service));
                let twice = chosen
                    .iter()
                    .any(|c| c.protocol == port.protocol && c.published == Some(*number));
                ours && !twice
            })
            .ok_or(AllocateError::Ports)?;
        chosen.push(Port {
            published: Some(published),
            ..*port
        });
    }
    Ok(chosen)
}
