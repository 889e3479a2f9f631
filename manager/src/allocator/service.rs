//! Services get the addresses and ports that their spec asks for and that they have not: after they went
//! back to an earlier spec by themselves. Otherwise they were given them when the spec was written.

use crate::allocator::choose_address;
use crate::allocator::choose_ports;
use crate::store::State;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_proto::NetworkId;
use weft_proto::command::Change;
use weft_proto::object::Network;
use weft_proto::object::Service;
use weft_proto::spec::EndpointMode;

/// What is missing and can be given. What cannot be given stays missing: the state does not change, and
/// when it does, this looks again.
pub fn plan_services(state: &State) -> Vec<Change> {
    let mut given: BTreeSet<IpAddr> = BTreeSet::new();
    let mut give = |network: &Network| {
        let addr = choose_address(state, network, &given).ok()?;
        given.insert(addr);
        Some(addr)
    };
    let steps = state
        .services()
        .filter_map(|service| step(state, service, &mut give));
    steps.map(Change::update).collect()
}

/// The networks on which a service has no virtual address though it should.
fn without_address(service: &Service) -> impl Iterator<Item = NetworkId> {
    let by_vip = service.spec.endpoint_mode == EndpointMode::Vip;
    let networks = service.spec.task.networks.iter().filter(move |_| by_vip);
    let without = networks.filter(|net| !service.vips.contains_key(&net.id));
    without.map(|net| net.id)
}

/// Something that its spec asks for is missing.
pub(super) fn is_incomplete(service: &Service) -> bool {
    service.ports.len() < service.spec.ports.len() || without_address(service).next().is_some()
}

/// The service with what is missing, as far as `give` has addresses; `None`: nothing can be given.
pub(super) fn step(
    state: &State,
    service: &Service,
    give: &mut dyn FnMut(&Network) -> Option<IpAddr>,
) -> Option<Service> {
    let spec = &service.spec;
    let missing: Vec<_> = without_address(service)
        .filter_map(|id| Some((id, give(state.network(id)?)?)))
        .collect();
    let ports = (service.ports.len() < spec.ports.len())
        .then(|| choose_ports(state, service.id, &spec.ports, &service.ports).ok())
        .flatten();
    if missing.is_empty() && ports.is_none() {
        return None;
    }
    let mut next = service.clone();
    next.vips.extend(missing);
    next.ports = ports.unwrap_or(next.ports);
    Some(next)
}
