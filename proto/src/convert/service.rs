//! A service.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::limits::MAX_REPLICAS;
use crate::convert::task_spec;
use crate::defaults;
use crate::id::NetworkId;
use crate::object::Service;
use crate::spec::EndpointMode;
use crate::spec::Mode;
use crate::spec::Port;
use crate::spec::Protocol;
use crate::spec::ServiceSpec;
use crate::spec::UpdateConfig;
use crate::spec::UpdateOrder;
use crate::wire;
use std::collections::BTreeSet;
use std::time::Duration;

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
    })
}

door!(Service => Service, read, "service");

impl From<&ServiceSpec> for wire::ServiceSpec {
    fn from(spec: &ServiceSpec) -> Self {
        let Mode::Replicated { replicas } = spec.mode;
        wire::ServiceSpec {
            name: spec.name.to_string(),
            labels: field::wire_labels(&spec.labels),
            task: Some((&spec.task).into()),
            replicated: Some(wire::ReplicatedMode { replicas }),
            update: Some((&spec.update).into()),
            endpoint_mode: wire::EndpointMode::from(spec.endpoint_mode).into(),
            ports: spec.ports.iter().map(Into::into).collect(),
        }
    }
}

fn read_spec(wire: wire::ServiceSpec) -> Result<ServiceSpec, ConvertError> {
    let task = field::required("task", wire.task)?;
    // No default: a mode that a newer version invents must not run as something else here.
    let replicas = field::required("replicated", wire.replicated)?.replicas;
    if replicas > MAX_REPLICAS {
        return Err(ConvertError::at(
            "replicated.replicas",
            format!("{replicas} are too many: use at most {MAX_REPLICAS}"),
        ));
    }
    Ok(ServiceSpec {
        name: field::parse("name", &wire.name)?,
        labels: field::labels(wire.labels)?,
        task: task_spec::read(task).map_err(|e| e.within("task"))?,
        mode: Mode::Replicated { replicas },
        update: match wire.update {
            Some(update) => read_update(update).map_err(|e| e.within("update"))?,
            None => defaults::UPDATE,
        },
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

impl From<&UpdateConfig> for wire::UpdateConfig {
    fn from(update: &UpdateConfig) -> Self {
        wire::UpdateConfig {
            parallelism: update.parallelism,
            delay_ms: field::millis(update.delay),
            order: wire::UpdateOrder::from(update.order).into(),
        }
    }
}

fn read_update(wire: wire::UpdateConfig) -> Result<UpdateConfig, ConvertError> {
    Ok(UpdateConfig {
        parallelism: wire.parallelism,
        delay: Duration::from_millis(wire.delay_ms),
        order: field::enumeration_or::<wire::UpdateOrder, UpdateOrder>(
            "order",
            wire.order,
            defaults::UPDATE.order,
        )?,
    })
}

door!(UpdateConfig => UpdateConfig, read_update, "update");

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
