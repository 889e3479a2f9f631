//! Services.

use crate::acting::Scope;
use crate::allocator::check_host_ports;
use crate::allocator::choose_address;
use crate::allocator::choose_ports;
use crate::api::error::ApiError;
use crate::api::files;
use crate::api::mode;
use crate::api::port;
use crate::api::stack;
use crate::api::stack::of_stack;
use crate::api::target;
use crate::orchestrator;
use crate::orchestrator::Count;
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
use weft_proto::wire;

type Vips = BTreeMap<NetworkId, IpAddr>;

/// A new service, with its virtual addresses and its published ports. One that has this identifier
/// was made by the same request.
pub(super) fn create(
    state: &State,
    scope: &Scope,
    id: ServiceId,
    spec: &wire::ServiceSpec,
) -> Result<Decision<Service>, ApiError> {
    if let Some(made) = state
        .service(id)
        .filter(|made| scope.has(&made.spec.labels))
    {
        return Ok(Decision {
            changes: Vec::new(),
            outcome: Service::clone(made),
        });
    }
    let spec = read(state, scope, spec)?;
    if state
        .holder(&Claim::ServiceName(spec.name.clone()))
        .is_some()
    {
        return Err(ApiError::NameTaken {
            kind: "service",
            name: spec.name,
        });
    }
    check_host_ports(state, id, &spec.task.host_ports)?;
    let mut changes = guards(state, &spec);
    let service = Service {
        meta: Meta::default(),
        id,
        vips: choose_vips(state, &spec, &Vips::new())?,
        ports: choose_ports(state, id, &spec.ports, &[])?,
        run: orchestrator::first_run(&spec),
        spec,
        previous: None,
        update: None,
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
    scope: &Scope,
    target: &str,
    version: u64,
    spec: &wire::ServiceSpec,
) -> Result<Decision<Service>, ApiError> {
    let old = looked_at(state, scope, target, version)?;
    let spec = read(state, scope, spec)?;
    if spec.name != old.spec.name {
        return Err(ApiError::Rename(old.spec.name.clone()));
    }
    mode::same_mode(&old, &spec)?;
    write(state, &old, orchestrator::updated(&old, spec))
}

/// The spec before the last change.
pub(super) fn rollback(
    state: &State,
    scope: &Scope,
    target: &str,
    version: u64,
) -> Result<Decision<Service>, ApiError> {
    let old = looked_at(state, scope, target, version)?;
    let service = orchestrator::rolled_back(&old).map_err(|none| ApiError::NoPrevious {
        name: old.spec.name.clone(),
        why: none.0,
    })?;
    of_stack(scope, "service", &service.spec.labels)?;
    let networks = &service.spec.task.networks;
    if let Some(gone) = networks.iter().find(|n| state.network(n.id).is_none()) {
        return Err(ApiError::NoWayBack {
            name: old.spec.name.clone(),
            network: gone.id,
        });
    }
    files::still_there(state, &service)?;
    write(state, &old, service)
}

/// The service as its caller looked at it.
fn looked_at(
    state: &State,
    scope: &Scope,
    target: &str,
    version: u64,
) -> Result<Arc<Service>, ApiError> {
    let old = target::service(state, scope, target)?;
    if version != 0 && version != old.meta.version {
        return Err(ApiError::Outdated {
            name: old.spec.name.clone(),
            found: old.meta.version,
            expected: version,
        });
    }
    Ok(old)
}

/// `service` in the place of `old`, with addresses and ports as its spec asks for.
fn write(
    state: &State,
    old: &Service,
    mut service: Service,
) -> Result<Decision<Service>, ApiError> {
    check_host_ports(state, old.id, &service.spec.task.host_ports)?;
    let mut changes = guards(state, &service.spec);
    service.vips = choose_vips(state, &service.spec, &old.vips)?;
    service.ports = choose_ports(state, old.id, &service.spec.ports, &old.ports)?;
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
pub(super) fn remove(
    state: &State,
    scope: &Scope,
    target: &str,
) -> Result<Decision<ServiceId>, ApiError> {
    let service = target::service(state, scope, target)?;
    Ok(Decision {
        changes: vec![Change::remove(Service::clone(&service))],
        outcome: service.id,
    })
}

/// The services that are meant, by name, each with its numbers of tasks; with an empty target all.
pub(super) fn list(
    state: &State,
    scope: &Scope,
    target: &str,
) -> Result<Vec<(Arc<Service>, Count)>, ApiError> {
    let mine = |service: &&Arc<Service>| scope.has(&service.spec.labels);
    let mut services: Vec<_> = if target.is_empty() {
        state.services().filter(mine).cloned().collect()
    } else {
        vec![target::service(state, scope, target)?]
    };
    services.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let counted = services.into_iter().map(|service| {
        let count = orchestrator::count(state, &service);
        (service, count)
    });
    Ok(counted.collect())
}

/// The spec with networks by identifier, fit for this cluster and for who asks.
fn read(state: &State, scope: &Scope, spec: &wire::ServiceSpec) -> Result<ServiceSpec, ApiError> {
    let mut spec = spec.clone();
    mode::complete(&mut spec);
    files::resolve(state, &mut spec)?;
    let mut spec = resolve_networks(spec, |target| {
        target::network(state, scope, target)
            .map(|network| network.id)
            .map_err(|error| ConvertError::new(error.to_string()))
    })?;
    of_stack(scope, "service", &spec.labels)?;
    port::check(&spec.ports, &spec.task.host_ports)?;
    mode::check(&spec)?;
    files::complete(state, &mut spec, None)?;
    stack::files(state, scope, &spec)?;
    Ok(spec)
}

/// The networks, secrets and configs must still be there, and the same, when the service is written.
fn guards(state: &State, spec: &ServiceSpec) -> Vec<Change> {
    spec.task
        .networks
        .iter()
        .map(|attachment| {
            let key = ObjectKey::Network(attachment.id);
            let expect = state.version(key).map_or(Expect::Any, Expect::Version);
            Change::Guard { key, expect }
        })
        .chain(files::guards(state, spec))
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
