//! The pieces of what an agent is told.

use crate::assignment::Backend;
use crate::assignment::EndpointRecord;
use crate::assignment::NetworkRecord;
use crate::assignment::PeerRecord;
use crate::assignment::PublishedRecord;
use crate::assignment::ServiceRecord;
use crate::convert::ConvertError;
use crate::convert::cluster::read_ingress_pool;
use crate::convert::door;
use crate::convert::field;
use crate::convert::network::read_vni;
use crate::convert::node::read_number;
use crate::name::Name;
use crate::spec::Protocol;
use crate::wire;

impl From<&NetworkRecord> for wire::NetworkRecord {
    fn from(record: &NetworkRecord) -> Self {
        wire::NetworkRecord {
            id: record.id.to_string(),
            name: record.name.to_string(),
            vni: record.vni.get(),
            subnet: record.subnet.to_string(),
            internal: record.internal,
            encrypted: record.encrypted,
        }
    }
}

pub(super) fn read_network(wire: wire::NetworkRecord) -> Result<NetworkRecord, ConvertError> {
    Ok(NetworkRecord {
        id: field::parse("id", &wire.id)?,
        name: field::parse("name", &wire.name)?,
        vni: read_vni(wire.vni)?,
        subnet: field::subnet("subnet", &wire.subnet)?,
        internal: wire.internal,
        encrypted: wire.encrypted,
    })
}

door!(NetworkRecord => NetworkRecord, read_network, "network");

impl From<&EndpointRecord> for wire::EndpointRecord {
    fn from(record: &EndpointRecord) -> Self {
        wire::EndpointRecord {
            network_id: record.network.to_string(),
            task_id: record.task.to_string(),
            service_id: record.service.to_string(),
            name: record.name.clone(),
            addr: record.addr.to_string(),
            node_id: record.node.to_string(),
            node_data_addr: record.node_data_addr.to_string(),
            ready: record.ready,
        }
    }
}

pub(super) fn read_endpoint(wire: wire::EndpointRecord) -> Result<EndpointRecord, ConvertError> {
    Ok(EndpointRecord {
        network: field::parse("network_id", &wire.network_id)?,
        task: field::parse("task_id", &wire.task_id)?,
        service: field::parse("service_id", &wire.service_id)?,
        name: wire.name,
        addr: field::ip("addr", &wire.addr)?,
        node: field::parse("node_id", &wire.node_id)?,
        node_data_addr: field::ip("node_data_addr", &wire.node_data_addr)?,
        ready: wire.ready,
    })
}

door!(EndpointRecord => EndpointRecord, read_endpoint, "endpoint");

impl From<&ServiceRecord> for wire::ServiceRecord {
    fn from(record: &ServiceRecord) -> Self {
        wire::ServiceRecord {
            network_id: record.network.to_string(),
            service_id: record.service.to_string(),
            name: record.name.to_string(),
            aliases: record.aliases.iter().map(Name::to_string).collect(),
            vip: record.vip.map(|vip| vip.to_string()).unwrap_or_default(),
        }
    }
}

pub(super) fn read_service(wire: wire::ServiceRecord) -> Result<ServiceRecord, ConvertError> {
    Ok(ServiceRecord {
        network: field::parse("network_id", &wire.network_id)?,
        service: field::parse("service_id", &wire.service_id)?,
        name: field::parse("name", &wire.name)?,
        aliases: field::list("aliases", wire.aliases, |alias| {
            field::parse::<Name>("", &alias)
        })?,
        vip: field::optional("vip", &wire.vip, field::ip)?,
    })
}

door!(ServiceRecord => ServiceRecord, read_service, "service");

impl From<&Backend> for wire::Backend {
    fn from(backend: &Backend) -> Self {
        wire::Backend {
            task_id: backend.task.to_string(),
            addr: backend.addr.to_string(),
            port: backend.port.into(),
        }
    }
}

fn read_backend(wire: wire::Backend) -> Result<Backend, ConvertError> {
    Ok(Backend {
        task: field::parse("task_id", &wire.task_id)?,
        addr: field::ipv4("addr", &wire.addr)?,
        port: field::port("port", wire.port)?,
    })
}

door!(Backend => Backend, read_backend, "backend");

impl From<&PublishedRecord> for wire::PublishedRecord {
    fn from(record: &PublishedRecord) -> Self {
        wire::PublishedRecord {
            protocol: wire::Protocol::from(record.protocol).into(),
            port: record.port.into(),
            service_name: record.service_name.to_string(),
            backends: record.backends.iter().map(Into::into).collect(),
        }
    }
}

pub(super) fn read_published(wire: wire::PublishedRecord) -> Result<PublishedRecord, ConvertError> {
    Ok(PublishedRecord {
        protocol: field::enumeration::<wire::Protocol, Protocol>("protocol", wire.protocol)?,
        port: field::port("port", wire.port)?,
        service_name: field::parse("service_name", &wire.service_name)?,
        backends: field::list("backends", wire.backends, read_backend)?,
    })
}

door!(PublishedRecord => PublishedRecord, read_published, "published");

impl From<&PeerRecord> for wire::PeerRecord {
    fn from(record: &PeerRecord) -> Self {
        wire::PeerRecord {
            node_id: record.node.to_string(),
            hostname: record.hostname.clone(),
            number: record.number.get().into(),
            data_addr: record.data_addr.to_string(),
            ingress_pool: record.ingress_pool.to_string(),
        }
    }
}

pub(super) fn read_peer(wire: wire::PeerRecord) -> Result<PeerRecord, ConvertError> {
    Ok(PeerRecord {
        node: field::parse("node_id", &wire.node_id)?,
        hostname: wire.hostname,
        number: read_number(wire.number)?,
        data_addr: field::ip("data_addr", &wire.data_addr)?,
        ingress_pool: read_ingress_pool(&wire.ingress_pool)?,
    })
}

door!(PeerRecord => PeerRecord, read_peer, "peer");
