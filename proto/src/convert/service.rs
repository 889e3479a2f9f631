//! A service.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::mode;
use crate::convert::task_spec;
use crate::convert::update;
use crate::defaults;
use crate::id::NetworkId;
use crate::object::Service;
use crate::spec::EndpointMode;
use crate::spec::FailureAction;
use crate::spec::HostPort;
use crate::spec::Port;
use crate::spec::Protocol;
use crate::spec::Schedule;
use crate::spec::ServiceSpec;
use crate::wire;
use std::collections::BTreeSet;

impl From<&Service> for wire::Service {
    fn from(service: &Service) -> Self {
        wire::Service {
            meta: Some(service.meta.into()),
            id: service.id.to_string(),
            spec: Some((&service.spec).into()),
            vips: service
                .vips
                .iter()
                .map(|(network, addr)| wire::VirtualIp {
                    network_id: network.to_string(),
                    addr: addr.to_string(),
                })
                .collect(),
            ports: service.ports.iter().map(Into::into).collect(),
            previous: service.previous.as_deref().map(Into::into),
            update: service.update.as_ref().map(Into::into),
            run: service.run.map(Into::into),
        }
    }
}

pub(super) fn read(wire: wire::Service) -> Result<Service, ConvertError> {
    let spec = field::required("spec", wire.spec)?;
    let vips = wire.vips.into_iter().map(|vip| (vip.network_id, vip.addr));
    Ok(Service {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        spec: read_spec(spec).map_err(|e| e.within("spec"))?,
        vips: field::addresses("vips", vips)?,
        ports: read_ports(wire.ports)?,
        previous: wire
            .previous
            .map(|spec| read_spec(spec).map(Box::new))
            .transpose()
            .map_err(|e| e.within("previous"))?,
        update: wire
            .update
            .map(update::read_status)
            .transpose()
            .map_err(|e| e.within("update"))?,
        run: wire.run.map(Into::into),
    })
}

door!(Service => Service, read, "service");

impl From<&ServiceSpec> for wire::ServiceSpec {
    fn from(spec: &ServiceSpec) -> Self {
        let mut wire = wire::ServiceSpec {
            name: spec.name.to_string(),
            labels: field::wire_labels(&spec.labels),
            task: Some((&*spec.task).into()),
            update: Some((&spec.update).into()),
            rollback: Some((&spec.rollback).into()),
            endpoint_mode: wire::EndpointMode::from(spec.endpoint_mode).into(),
            ports: spec.ports.iter().map(Into::into).collect(),
            schedule: spec
                .schedule
                .as_ref()
                .map(Schedule::to_string)
                .unwrap_or_default(),
            ..wire::ServiceSpec::default()
        };
        mode::write(spec.mode, &mut wire);
        wire
    }
}

fn read_spec(wire: wire::ServiceSpec) -> Result<ServiceSpec, ConvertError> {
    let mode = mode::read(&wire)?;
    let task = field::required("task", wire.task)?;
    let schedule = field::optional("schedule", &wire.schedule, field::parse::<Schedule>)?;
    if schedule.is_some() && !mode.is_job() {
        return Err(ConvertError::at(
            "schedule",
            format!("is for jobs only, and the mode is {mode}: use replicated-job or global-job"),
        ));
    }
    let rollback = match wire.rollback {
        Some(rollback) => update::read(rollback).map_err(|e| e.within("rollback"))?,
        None => defaults::ROLLBACK,
    };
    if rollback.failure_action == FailureAction::Rollback {
        return Err(ConvertError::at(
            "rollback.failure_action",
            "is rollback: a rollback cannot be rolled back, use pause or continue",
        ));
    }
    Ok(ServiceSpec {
        name: field::parse("name", &wire.name)?,
        labels: field::labels(wire.labels)?,
        task: task_spec::read(task).map_err(|e| e.within("task"))?.into(),
        mode,
        update: match wire.update {
            Some(update) => update::read(update).map_err(|e| e.within("update"))?,
            None => defaults::UPDATE,
        },
        rollback,
        schedule,
        endpoint_mode: field::enumeration_or::<wire::EndpointMode, EndpointMode>(
            "endpoint_mode",
            wire.endpoint_mode,
            EndpointMode::Vip,
        )?,
        ports: read_ports(wire.ports)?,
    })
}

door!(ServiceSpec => ServiceSpec, read_spec, "service");

/// A spec whose `task.networks[].network_id` may be names: `find` turns each text into the network
/// that is meant. Its error needs no path; it gets that of the field.
///
/// # Errors
/// Whatever `find` refuses, and everything that makes a spec unacceptable.
pub fn resolve_networks(
    mut spec: wire::ServiceSpec,
    find: impl Fn(&str) -> Result<NetworkId, ConvertError>,
) -> Result<ServiceSpec, ConvertError> {
    let attachments = spec.task.iter_mut().flat_map(|task| &mut task.networks);
    for (index, attachment) in attachments.enumerate() {
        let network = find(&attachment.network_id)
            .map_err(|error| error.within(&format!("service.task.networks[{index}].network_id")))?;
        attachment.network_id = network.to_string();
    }
    spec.try_into()
}

impl From<&Port> for wire::Port {
    fn from(port: &Port) -> Self {
        wire::Port {
            protocol: wire::Protocol::from(port.protocol).into(),
            target: port.target.into(),
            published: port.published.unwrap_or_default().into(),
        }
    }
}

fn read_port(wire: wire::Port) -> Result<Port, ConvertError> {
    Ok(Port {
        protocol: field::enumeration_or::<wire::Protocol, Protocol>(
            "protocol",
            wire.protocol,
            Protocol::Tcp,
        )?,
        target: field::port("target", wire.target)?,
        published: match wire.published {
            0 => None,
            number => Some(field::port("published", number)?),
        },
    })
}

fn read_ports(wire: Vec<wire::Port>) -> Result<Vec<Port>, ConvertError> {
    let ports = field::list("ports", wire, read_port)?;
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let Some(published) = port.published else {
            continue;
        };
        if !seen.insert((port.protocol, published)) {
            return Err(ConvertError::at(
                &format!("ports[{index}].published"),
                format!("{published}/{} is published twice", port.protocol),
            ));
        }
    }
    Ok(ports)
}

door!(Port => Port, read_port, "port");

impl From<&HostPort> for wire::Port {
    fn from(port: &HostPort) -> Self {
        wire::Port {
            protocol: wire::Protocol::from(port.protocol).into(),
            target: port.target.into(),
            published: port.published.into(),
        }
    }
}

fn read_host_port(wire: wire::Port) -> Result<HostPort, ConvertError> {
    let port = read_port(wire)?;
    Ok(HostPort {
        protocol: port.protocol,
        target: port.target,
        published: port.published.ok_or_else(|| {
            ConvertError::at(
                "published",
                "is missing: a port of mode host is not chosen by the cluster, say which one the \
                 node answers",
            )
        })?,
    })
}

pub(super) fn read_host_ports(wire: Vec<wire::Port>) -> Result<Vec<HostPort>, ConvertError> {
    let ports = field::list("host_ports", wire, read_host_port)?;
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        if !seen.insert((port.protocol, port.published)) {
            return Err(ConvertError::at(
                &format!("host_ports[{index}].published"),
                format!("{}/{} is published twice", port.published, port.protocol),
            ));
        }
    }
    Ok(ports)
}
