//! Services.

use crate::allocator::choose_address;
use crate::allocator::choose_ports;
use crate::api::error::ApiError;
use crate::api::port;
use crate::api::target;
use crate::propose::retry::Decision;
use crate::store::Claim;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use weft_proto::NetworkId;
use weft_proto::ServiceId;
use weft_proto::command::Change;
use weft_proto::command::Expect;
use weft_proto::convert::ConvertError;
use weft_proto::convert::resolve_networks;
use weft_proto::object::Meta;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::spec::EndpointMode;
use weft_proto::spec::ServiceSpec;
use weft_proto::task_state::TaskState;
use weft_proto::wire;

type Vips = BTreeMap<NetworkId, IpAddr>;

/// A new service, with its virtual addresses and its published ports. One that has this identifier
/// was made by the same request.
pub(super) fn create(
    state: &State,
    id: ServiceId,
    spec: &wire::ServiceSpec,
) -> Result<Decision<Service>, ApiError> {
    if let Some(made) = state.service(id) {
        return Ok(Decision {
            changes: Vec::new(),
            outcome: Service::clone(made),
        });
    }
    let spec = read(state, spec)?;
    if state
        .holder(&Claim::ServiceName(spec.name.clone()))
        .is_some()
    {
        return Err(ApiError::NameTaken {
            kind: "service",
            name: spec.name,
        });
    }
    let mut changes = guards(state, &spec);
    let service = Service {
        meta: Meta::default(),
        id,
        vips: choose_vips(state, &spec, &Vips::new())?,
        ports: choose_ports(state, id, &spec.ports, &[])?,
        spec,
        previous: None,
        update: None,
        run: None,
    };
    changes.push(Change::create(service.clone()));
    Ok(Decision {
        changes,
        outcome: service,
    })
}

/// Another spec for a service. `version` is that of the service the caller looked at; 0 for
/// whatever is there. Addresses and automatic ports that are still asked for stay as they are.
pub(super) fn update(
    state: &State,
    target: &str,
    version: u64,
    spec: &wire::ServiceSpec,
) -> Result<Decision<Service>, ApiError> {
    let old = target::service(state, target)?;
    if version != 0 && version != old.meta.version {
        return Err(ApiError::Outdated {
            name: old.spec.name.clone(),
            found: old.meta.version,
            expected: version,
        });
    }
    let spec = read(state, spec)?;
    if spec.name != old.spec.name {
        return Err(ApiError::Rename(old.spec.name.clone()));
    }
    let mut changes = guards(state, &spec);
    let service = Service {
        meta: old.meta,
        id: old.id,
        vips: choose_vips(state, &spec, &old.vips)?,
        ports: choose_ports(state, old.id, &spec.ports, &old.ports)?,
        spec,
        previous: old.previous.clone(),
        update: old.update.clone(),
        run: old.run,
    };
    if service == *old {
        changes.clear();
    } else {
        changes.push(Change::update(service.clone()));
    }
    Ok(Decision {
        changes,
        outcome: service,
    })
}

/// Removes a service; the orchestrator ends its tasks.
pub(super) fn remove(state: &State, target: &str) -> Result<Decision<ServiceId>, ApiError> {
    let service = target::service(state, target)?;
    Ok(Decision {
        changes: vec![Change::remove(Service::clone(&service))],
        outcome: service.id,
    })
}

/// The services that are meant, by name, each with how many of its tasks run; with an empty target
/// all.
pub(super) fn list(state: &State, target: &str) -> Result<Vec<(Arc<Service>, u32)>, ApiError> {
    let mut services: Vec<_> = if target.is_empty() {
        state.services().cloned().collect()
    } else {
        vec![target::service(state, target)?]
    };
    services.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let counted = services.into_iter().map(|service| {
        let running = running(state, service.id);
        (service, running)
    });
    Ok(counted.collect())
}

/// Tasks that run and are to go on running.
fn running(state: &State, service: ServiceId) -> u32 {
    let running = state
        .tasks_of_service(service)
        .filter(|task| task.is_wanted() && task.status.state == TaskState::Running)
        .count();
    u32::try_from(running).unwrap_or(u32::MAX)
}

/// The spec with networks by identifier, fit for this cluster.
fn read(state: &State, spec: &wire::ServiceSpec) -> Result<ServiceSpec, ApiError> {
    let spec = resolve_networks(spec.clone(), |target| {
        target::network(state, target)
            .map(|network| network.id)
            .map_err(|error| ConvertError::new(error.to_string()))
    })?;
    port::check(&spec.ports)?;
    Ok(spec)
}

/// The networks must still be there, and the same, when the service is written.
fn guards(state: &State, spec: &ServiceSpec) -> Vec<Change> {
    spec.task
        .networks
        .iter()
        .map(|attachment| {
            let key = ObjectKey::Network(attachment.id);
            let expect = state.version(key).map_or(Expect::Any, Expect::Version);
            Change::Guard { key, expect }
        })
        .collect()
}

/// A virtual address on each network, where the service is found by one; `keep` what it has.
fn choose_vips(state: &State, spec: &ServiceSpec, keep: &Vips) -> Result<Vips, ApiError> {
    match spec.endpoint_mode {
        EndpointMode::Dnsrr => return Ok(Vips::new()),
        EndpointMode::Vip => {}
    }
    let mut vips = Vips::new();
    for attachment in &spec.task.networks {
        let vip = match (keep.get(&attachment.id), state.network(attachment.id)) {
            (Some(kept), _) => *kept,
            // Networks were found in this very state, so there is one.
            (None, None) => continue,
            (None, Some(network)) => choose_address(state, network, &BTreeSet::new())?,
        };
        vips.insert(attachment.id, vip);
    }
    Ok(vips)
}
