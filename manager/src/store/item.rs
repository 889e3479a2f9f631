//! Objects as the state holds them: shared, never copied.

use std::sync::Arc;
use weft_proto::object::Cluster;
use weft_proto::object::IssuedToken;
use weft_proto::object::KeyRing;
use weft_proto::object::Material;
use weft_proto::object::Meta;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::User;
use weft_proto::spec::MaterialKind;
use weft_proto::wire;
use weft_proto::wire::object::Kind;

/// One version of an object, shared with the states that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The cluster itself.
    Cluster(Arc<Cluster>),
    /// A machine.
    Node(Arc<Node>),
    /// A network.
    Network(Arc<Network>),
    /// A service.
    Service(Arc<Service>),
    /// A task.
    Task(Arc<Task>),
    /// A person.
    User(Arc<User>),
    /// A join token that was made for a purpose.
    JoinToken(Arc<IssuedToken>),
    /// A secret or a config.
    Material(Arc<Material>),
    /// The keys of the data plane.
    KeyRing(Arc<KeyRing>),
}

impl Item {
    /// Which object this is.
    pub fn key(&self) -> ObjectKey {
        match self {
            Item::Cluster(_) => ObjectKey::Cluster,
            Item::Node(node) => ObjectKey::Node(node.id),
            Item::Network(network) => ObjectKey::Network(network.id),
            Item::Service(service) => ObjectKey::Service(service.id),
            Item::Task(task) => ObjectKey::Task(task.id),
            Item::User(user) => ObjectKey::User(user.id),
            Item::JoinToken(token) => ObjectKey::JoinToken(token.id),
            Item::Material(material) => material.key(),
            Item::KeyRing(_) => ObjectKey::KeyRing,
        }
    }

    /// What the store keeps about it.
    pub fn meta(&self) -> Meta {
        match self {
            Item::Cluster(cluster) => cluster.meta,
            Item::Node(node) => node.meta,
            Item::Network(network) => network.meta,
            Item::Service(service) => service.meta,
            Item::Task(task) => task.meta,
            Item::User(user) => user.meta,
            Item::JoinToken(token) => token.meta,
            Item::Material(material) => material.meta,
            Item::KeyRing(ring) => ring.meta,
        }
    }

    /// What people call it; empty for what there is only one of.
    pub fn name(&self) -> String {
        match self {
            Item::Cluster(_) | Item::KeyRing(_) => String::new(),
            Item::Node(node) => node.description.hostname.clone(),
            Item::Network(network) => network.spec.name.to_string(),
            Item::Service(service) => service.spec.name.to_string(),
            Item::Task(task) => task.name(),
            Item::User(user) => user.name.to_string(),
            Item::JoinToken(token) => token.name.clone(),
            Item::Material(material) => material.spec.name.to_string(),
        }
    }
}

impl From<Object> for Item {
    fn from(object: Object) -> Item {
        match object {
            Object::Cluster(cluster) => Item::Cluster(Arc::new(cluster)),
            Object::Node(node) => Item::Node(Arc::new(node)),
            Object::Network(network) => Item::Network(Arc::new(network)),
            Object::Service(service) => Item::Service(Arc::new(service)),
            Object::Task(task) => Item::Task(Arc::new(task)),
            Object::User(user) => Item::User(Arc::new(user)),
            Object::JoinToken(token) => Item::JoinToken(Arc::new(token)),
            Object::Material(material) => Item::Material(Arc::new(material)),
            Object::KeyRing(ring) => Item::KeyRing(Arc::new(ring)),
        }
    }
}

/// A copy: for those who change it, and for what is written down.
impl From<&Item> for Object {
    fn from(item: &Item) -> Object {
        match item {
            Item::Cluster(cluster) => Object::Cluster(Cluster::clone(cluster)),
            Item::Node(node) => Object::Node(Node::clone(node)),
            Item::Network(network) => Object::Network(Network::clone(network)),
            Item::Service(service) => Object::Service(Service::clone(service)),
            Item::Task(task) => Object::Task(Task::clone(task)),
            Item::User(user) => Object::User(User::clone(user)),
            Item::JoinToken(token) => Object::JoinToken(IssuedToken::clone(token)),
            Item::Material(material) => Object::Material(Material::clone(material)),
            Item::KeyRing(ring) => Object::KeyRing(KeyRing::clone(ring)),
        }
    }
}

/// In full, secrets included: for disks and other managers.
impl From<&Item> for wire::Object {
    fn from(item: &Item) -> wire::Object {
        let kind = match item {
            Item::Cluster(cluster) => Kind::Cluster((&**cluster).into()),
            Item::Node(node) => Kind::Node((&**node).into()),
            Item::Network(network) => Kind::Network((&**network).into()),
            Item::Service(service) => Kind::Service((&**service).into()),
            Item::Task(task) => Kind::Task((&**task).into()),
            Item::User(user) => Kind::User((&**user).into()),
            Item::JoinToken(token) => Kind::JoinToken((&**token).into()),
            Item::Material(material) => match material.kind {
                MaterialKind::Secret => Kind::Secret((&**material).into()),
                MaterialKind::Config => Kind::Config((&**material).into()),
            },
            Item::KeyRing(ring) => Kind::KeyRing((&**ring).into()),
        };
        wire::Object { kind: Some(kind) }
    }
}
