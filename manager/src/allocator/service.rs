//! Services get the addresses and ports that their spec asks for and that they have not: after they went
//! back to an earlier spec by themselves. Otherwise they were given them when the spec was written.

use crate::allocator::choose_address;
use crate::allocator::choose_ports;
use crate::store::State;
use std::collections::BTreeSet;
use weft_proto::command::Change;
use weft_proto::object::Service;
use weft_proto::spec::EndpointMode;

/// What is missing and can be given. What cannot be given stays missing: the state does not change, and
/// when it does, this looks again.
pub fn plan_services(state: &State) -> Vec<Change> {
    let steps = state.services().filter_map(|service| step(state, service));
    steps.map(Change::update).collect()
}

fn step(state: &State, service: &Service) -> Option<Service> {
    let spec = &service.spec;
    let by_vip = spec.endpoint_mode == EndpointMode::Vip;
    let networks = spec.task.networks.iter().filter(|_| by_vip);
    let without = networks.filter(|net| !service.vips.contains_key(&net.id));
    let missing: Vec<_> = without
        .filter_map(|net| {
            let network = state.network(net.id)?;
            let addr = choose_address(state, network, &BTreeSet::new()).ok()?;
            Some((net.id, addr))
        })
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
