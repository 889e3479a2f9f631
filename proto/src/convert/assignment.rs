//! What an agent is told.

use crate::assignment::Assignment;
use crate::assignment::AssignmentKey;
use crate::assignment::Assignments;
use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::key_ring;
use crate::convert::material;
use crate::convert::object::kind;
use crate::convert::record;
use crate::convert::task;
use crate::spec::Protocol;
use crate::wire;
use crate::wire::assignment::Kind;
use crate::wire::assignment_key::Kind as KeyKind;

impl From<&Assignments> for wire::Assignments {
    fn from(step: &Assignments) -> Self {
        wire::Assignments {
            revision: step.revision,
            snapshot: step.snapshot,
            upserts: step.upserts.iter().map(Into::into).collect(),
            removals: step.removals.iter().map(Into::into).collect(),
            manager_addrs: step.managers.iter().map(ToString::to_string).collect(),
        }
    }
}

fn read(wire: wire::Assignments) -> Result<Assignments, ConvertError> {
    Ok(Assignments {
        revision: wire.revision,
        snapshot: wire.snapshot,
        upserts: field::list("upserts", wire.upserts, read_one)?,
        removals: field::list("removals", wire.removals, read_key)?,
        managers: field::list("manager_addrs", wire.manager_addrs, |addr| {
            field::socket("", &addr)
        })?,
    })
}

door!(Assignments => Assignments, read, "assignments");

impl From<&Assignment> for wire::Assignment {
    fn from(assignment: &Assignment) -> Self {
        wire::Assignment {
            kind: Some(match assignment {
                Assignment::Task(task) => Kind::Task(task.as_ref().into()),
                Assignment::Network(network) => Kind::Network(network.into()),
                Assignment::Endpoint(endpoint) => Kind::Endpoint(endpoint.into()),
                Assignment::Service(service) => Kind::Service(service.into()),
                Assignment::Published(published) => Kind::Published(published.into()),
                Assignment::Peer(peer) => Kind::Peer(peer.into()),
                Assignment::Material(record) => Kind::Material(record.into()),
                Assignment::Tunnel(tunnel) => Kind::Tunnel(tunnel.into()),
                Assignment::Epochs(epochs) => Kind::Epochs(epochs.into()),
            }),
        }
    }
}

fn read_one(wire: wire::Assignment) -> Result<Assignment, ConvertError> {
    match kind(wire.kind)? {
        Kind::Task(wire) => task::read(wire)
            .map(|task| Assignment::Task(Box::new(task)))
            .map_err(|e| e.within("task")),
        Kind::Network(wire) => record::read_network(wire)
            .map(Assignment::Network)
            .map_err(|e| e.within("network")),
        Kind::Endpoint(wire) => record::read_endpoint(wire)
            .map(Assignment::Endpoint)
            .map_err(|e| e.within("endpoint")),
        Kind::Service(wire) => record::read_service(wire)
            .map(Assignment::Service)
            .map_err(|e| e.within("service")),
        Kind::Published(wire) => record::read_published(wire)
            .map(Assignment::Published)
            .map_err(|e| e.within("published")),
        Kind::Peer(wire) => record::read_peer(wire)
            .map(Assignment::Peer)
            .map_err(|e| e.within("peer")),
        Kind::Material(wire) => material::read_record(wire)
            .map(Assignment::Material)
            .map_err(|e| e.within("material")),
        Kind::Tunnel(wire) => key_ring::read_tunnel(wire)
            .map(Assignment::Tunnel)
            .map_err(|e| e.within("tunnel")),
        Kind::Epochs(wire) => Ok(Assignment::Epochs(wire.into())),
    }
}

door!(Assignment => Assignment, read_one, "assignment");

impl From<&AssignmentKey> for wire::AssignmentKey {
    fn from(key: &AssignmentKey) -> Self {
        wire::AssignmentKey {
            kind: Some(match key {
                AssignmentKey::Task(id) => KeyKind::Task(id.to_string()),
                AssignmentKey::Network(id) => KeyKind::Network(id.to_string()),
                AssignmentKey::Endpoint(network, task) => KeyKind::Endpoint(wire::EndpointKey {
                    network_id: network.to_string(),
                    task_id: task.to_string(),
                }),
                AssignmentKey::Service(network, service) => KeyKind::Service(wire::ServiceKey {
                    network_id: network.to_string(),
                    service_id: service.to_string(),
                }),
                AssignmentKey::Published(protocol, port) => {
                    KeyKind::Published(wire::PublishedKey {
                        protocol: wire::Protocol::from(*protocol).into(),
                        port: (*port).into(),
                    })
                }
                AssignmentKey::Peer(id) => KeyKind::Peer(id.to_string()),
                AssignmentKey::Material(id, version) => KeyKind::Material(wire::MaterialKey {
                    id: id.to_string(),
                    version: *version,
                }),
                AssignmentKey::Tunnel(id) => KeyKind::Tunnel(id.to_string()),
                AssignmentKey::Epochs => KeyKind::Epochs(true),
            }),
        }
    }
}

fn read_key(wire: wire::AssignmentKey) -> Result<AssignmentKey, ConvertError> {
    Ok(match kind(wire.kind)? {
        KeyKind::Task(id) => AssignmentKey::Task(field::parse("task", &id)?),
        KeyKind::Network(id) => AssignmentKey::Network(field::parse("network", &id)?),
        KeyKind::Endpoint(key) => AssignmentKey::Endpoint(
            field::parse("endpoint.network_id", &key.network_id)?,
            field::parse("endpoint.task_id", &key.task_id)?,
        ),
        KeyKind::Service(key) => AssignmentKey::Service(
            field::parse("service.network_id", &key.network_id)?,
            field::parse("service.service_id", &key.service_id)?,
        ),
        KeyKind::Published(key) => AssignmentKey::Published(
            field::enumeration::<wire::Protocol, Protocol>("published.protocol", key.protocol)?,
            field::port("published.port", key.port)?,
        ),
        KeyKind::Peer(id) => AssignmentKey::Peer(field::parse("peer", &id)?),
        KeyKind::Material(key) => {
            AssignmentKey::Material(field::parse("material.id", &key.id)?, key.version)
        }
        KeyKind::Tunnel(id) => AssignmentKey::Tunnel(field::parse("tunnel", &id)?),
        KeyKind::Epochs(_) => AssignmentKey::Epochs,
    })
}

door!(AssignmentKey => AssignmentKey, read_key, "key");
