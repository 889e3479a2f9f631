//! Published ports.

use crate::allocator::AllocateError;
use crate::store::Claim;
use crate::store::State;
use weft_proto::ServiceId;
use weft_proto::defaults;
use weft_proto::object::ObjectKey;
use weft_proto::spec::HostPort;
use weft_proto::spec::Port;
use weft_proto::spec::Protocol;

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
            && let Some(holder) = taken(state, service, port.protocol, published, true)
        {
            return Err(holder);
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
                let ours = taken(state, service, port.protocol, *number, true).is_none();
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

/// Refuses ports of single nodes that every node answers for another service. Two services may ask
/// for the same one: their tasks run on different nodes.
pub fn check_host_ports(
    state: &State,
    service: ServiceId,
    asked: &[HostPort],
) -> Result<(), AllocateError> {
    let mut taken = asked
        .iter()
        .filter_map(|port| taken(state, service, port.protocol, port.published, false));
    taken.next().map_or(Ok(()), Err)
}

/// Who else has a port. `alone`: nobody may have it on a single node either.
fn taken(
    state: &State,
    service: ServiceId,
    protocol: Protocol,
    port: u16,
    alone: bool,
) -> Option<AllocateError> {
    let mesh = state.holder(&Claim::PublishedPort(protocol, port));
    let hosts = state.host_port_users(protocol, port).filter(|_| alone);
    let ours = ObjectKey::Service(service);
    let holder = mesh
        .into_iter()
        .chain(hosts)
        .find(|holder| *holder != ours)?;
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
    Some(AllocateError::PortTaken {
        port,
        protocol,
        holder: holder.unwrap_or_default(),
    })
}
