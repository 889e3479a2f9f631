//! Any object, and which.

use crate::convert::ConvertError;
use crate::convert::cluster;
use crate::convert::door;
use crate::convert::field;
use crate::convert::join_token;
use crate::convert::key_ring;
use crate::convert::material;
use crate::convert::network;
use crate::convert::node;
use crate::convert::service;
use crate::convert::task;
use crate::convert::user;
use crate::object::Meta;
use crate::object::Object;
use crate::object::ObjectKey;
use crate::spec::MaterialKind;
use crate::time::Timestamp;
use crate::wire;
use crate::wire::object::Kind;
use crate::wire::object_key::Kind as KeyKind;

impl From<Meta> for wire::Meta {
    fn from(meta: Meta) -> Self {
        wire::Meta {
            version: meta.version,
            created_at_ms: meta.created_at.as_millis(),
            updated_at_ms: meta.updated_at.as_millis(),
        }
    }
}

impl From<wire::Meta> for Meta {
    fn from(wire: wire::Meta) -> Self {
        Meta {
            version: wire.version,
            created_at: Timestamp::from_millis(wire.created_at_ms),
            updated_at: Timestamp::from_millis(wire.updated_at_ms),
        }
    }
}

impl From<&Object> for wire::Object {
    fn from(object: &Object) -> Self {
        wire::Object {
            kind: Some(match object {
                Object::Cluster(cluster) => Kind::Cluster(cluster.into()),
                Object::Node(node) => Kind::Node(node.into()),
                Object::Network(network) => Kind::Network(network.into()),
                Object::Service(service) => Kind::Service(service.into()),
                Object::Task(task) => Kind::Task(task.into()),
                Object::User(user) => Kind::User(user.into()),
                Object::JoinToken(token) => Kind::JoinToken(token.into()),
                Object::Material(material) => material::kind(material.kind, material.into()),
                Object::KeyRing(ring) => Kind::KeyRing(ring.into()),
            }),
        }
    }
}

pub(super) fn read(wire: wire::Object) -> Result<Object, ConvertError> {
    match kind(wire.kind)? {
        Kind::Cluster(wire) => inner("cluster", cluster::read(wire)).map(Object::Cluster),
        Kind::Node(wire) => inner("node", node::read(wire)).map(Object::Node),
        Kind::Network(wire) => inner("network", network::read(wire)).map(Object::Network),
        Kind::Service(wire) => inner("service", service::read(wire)).map(Object::Service),
        Kind::Task(wire) => inner("task", task::read(wire)).map(Object::Task),
        Kind::User(wire) => inner("user", user::read(wire)).map(Object::User),
        Kind::JoinToken(wire) => inner("join_token", join_token::read(wire)).map(Object::JoinToken),
        Kind::Secret(wire) => inner("secret", material::read(wire)).map(Object::Material),
        Kind::Config(wire) => inner("config", material::read(wire)).map(Object::Material),
        Kind::KeyRing(wire) => inner("key_ring", key_ring::read(wire)).map(Object::KeyRing),
    }
}

fn inner<T>(field: &str, read: Result<T, ConvertError>) -> Result<T, ConvertError> {
    read.map_err(|error| error.within(field))
}

/// The alternative that a message holds. One of a newer version arrives as none.
pub(super) fn kind<T>(kind: Option<T>) -> Result<T, ConvertError> {
    kind.ok_or_else(|| {
        ConvertError::new("holds nothing known here: the sender may be of a newer version")
    })
}

door!(Object => Object, read, "object");

impl From<&ObjectKey> for wire::ObjectKey {
    fn from(key: &ObjectKey) -> Self {
        wire::ObjectKey {
            kind: Some(match key {
                ObjectKey::Cluster => KeyKind::Cluster(true),
                ObjectKey::Node(id) => KeyKind::Node(id.to_string()),
                ObjectKey::Network(id) => KeyKind::Network(id.to_string()),
                ObjectKey::Service(id) => KeyKind::Service(id.to_string()),
                ObjectKey::Task(id) => KeyKind::Task(id.to_string()),
                ObjectKey::User(id) => KeyKind::User(id.to_string()),
                ObjectKey::JoinToken(id) => KeyKind::JoinToken(id.to_string()),
                ObjectKey::Material(MaterialKind::Secret, id) => KeyKind::Secret(id.to_string()),
                ObjectKey::Material(MaterialKind::Config, id) => KeyKind::Config(id.to_string()),
                ObjectKey::KeyRing => KeyKind::KeyRing(true),
            }),
        }
    }
}

pub(super) fn read_key(wire: wire::ObjectKey) -> Result<ObjectKey, ConvertError> {
    Ok(match kind(wire.kind)? {
        KeyKind::Cluster(_) => ObjectKey::Cluster,
        KeyKind::Node(id) => ObjectKey::Node(field::parse("node", &id)?),
        KeyKind::Network(id) => ObjectKey::Network(field::parse("network", &id)?),
        KeyKind::Service(id) => ObjectKey::Service(field::parse("service", &id)?),
        KeyKind::Task(id) => ObjectKey::Task(field::parse("task", &id)?),
        KeyKind::User(id) => ObjectKey::User(field::parse("user", &id)?),
        KeyKind::JoinToken(id) => ObjectKey::JoinToken(field::parse("join_token", &id)?),
        KeyKind::Secret(id) => {
            ObjectKey::Material(MaterialKind::Secret, field::parse("secret", &id)?)
        }
        KeyKind::Config(id) => {
            ObjectKey::Material(MaterialKind::Config, field::parse("config", &id)?)
        }
        KeyKind::KeyRing(_) => ObjectKey::KeyRing,
    })
}

door!(ObjectKey => ObjectKey, read_key, "key");
