//! The objects of the cluster's state.

mod cluster;
mod join_token;
mod key_ring;
mod material;
mod network;
mod node;
mod removed;
mod service;
mod task;
mod user;

pub use cluster::Cluster;
pub use cluster::ClusterSettings;
pub use join_token::IssuedToken;
pub use join_token::PendingNode;
pub use key_ring::KeyEpoch;
pub use key_ring::KeyPhase;
pub use key_ring::KeyRing;
pub use material::Data;
pub use material::Material;
pub use material::MaterialVersion;
pub use network::Network;
pub use node::ManagerStatus;
pub use node::Node;
pub use node::NodeDescription;
pub use node::NodeState;
pub use node::NodeStatus;
pub use removed::RemovedNode;
pub use service::JobRun;
pub use service::Service;
pub use service::UpdateState;
pub use service::UpdateStatus;
pub use task::Task;
pub use task::TaskStatus;
pub use user::KeyDigest;
pub use user::ParseUserRoleError;
pub use user::User;
pub use user::UserRole;

use crate::id::JoinTokenId;
use crate::id::MaterialId;
use crate::id::NetworkId;
use crate::id::NodeId;
use crate::id::ServiceId;
use crate::id::TaskId;
use crate::id::UserId;
use crate::spec::MaterialKind;
use crate::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// What the store keeps about every object. Values that callers put here are overwritten when a
/// change is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Log index of the last change: of two versions the greater is the newer.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Any object.
#[expect(
    clippy::large_enum_variant,
    reason = "lives for one step of decoding or applying; the tables hold the objects themselves"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The cluster itself; there is one.
    Cluster(Cluster),
    /// A machine.
    Node(Node),
    /// A network.
    Network(Network),
    /// A service.
    Service(Service),
    /// A task.
    Task(Task),
    /// A person.
    User(User),
    /// A join token that was made for a purpose.
    JoinToken(IssuedToken),
    /// A secret or a config.
    Material(Material),
    /// The keys of the data plane; there is one ring, or none yet.
    KeyRing(KeyRing),
}

/// Which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// The cluster itself.
    Cluster,
    /// A machine.
    Node(NodeId),
    /// A network.
    Network(NetworkId),
    /// A service.
    Service(ServiceId),
    /// A task.
    Task(TaskId),
    /// A person.
    User(UserId),
    /// A join token that was made for a purpose.
    JoinToken(JoinTokenId),
    /// A secret or a config.
    Material(MaterialKind, MaterialId),
    /// The keys of the data plane.
    KeyRing,
}

impl Object {
    /// Which object this is.
    pub fn key(&self) -> ObjectKey {
        match self {
            Object::Cluster(_) => ObjectKey::Cluster,
            Object::Node(node) => ObjectKey::Node(node.id),
            Object::Network(network) => ObjectKey::Network(network.id),
            Object::Service(service) => ObjectKey::Service(service.id),
            Object::Task(task) => ObjectKey::Task(task.id),
            Object::User(user) => ObjectKey::User(user.id),
            Object::JoinToken(token) => ObjectKey::JoinToken(token.id),
            Object::Material(material) => material.key(),
            Object::KeyRing(_) => ObjectKey::KeyRing,
        }
    }

    /// What the store keeps about it.
    pub fn meta(&self) -> Meta {
        match self {
            Object::Cluster(cluster) => cluster.meta,
            Object::Node(node) => node.meta,
            Object::Network(network) => network.meta,
            Object::Service(service) => service.meta,
            Object::Task(task) => task.meta,
            Object::User(user) => user.meta,
            Object::JoinToken(token) => token.meta,
            Object::Material(material) => material.meta,
            Object::KeyRing(ring) => ring.meta,
        }
    }

    /// The same object with what the store keeps about it replaced.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Self {
        match &mut self {
            Object::Cluster(cluster) => cluster.meta = meta,
            Object::Node(node) => node.meta = meta,
            Object::Network(network) => network.meta = meta,
            Object::Service(service) => service.meta = meta,
            Object::Task(task) => task.meta = meta,
            Object::User(user) => user.meta = meta,
            Object::JoinToken(token) => token.meta = meta,
            Object::Material(material) => material.meta = meta,
            Object::KeyRing(ring) => ring.meta = meta,
        }
        self
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectKey::Cluster => f.write_str("cluster"),
            ObjectKey::Node(id) => write!(f, "node {id}"),
            ObjectKey::Network(id) => write!(f, "network {id}"),
            ObjectKey::Service(id) => write!(f, "service {id}"),
            ObjectKey::Task(id) => write!(f, "task {id}"),
            ObjectKey::User(id) => write!(f, "user {id}"),
            ObjectKey::JoinToken(id) => write!(f, "join-token {id}"),
            ObjectKey::Material(kind, id) => write!(f, "{kind} {id}"),
            ObjectKey::KeyRing => f.write_str("key ring"),
        }
    }
}

macro_rules! into_object {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Object {
            fn from(value: $kind) -> Object {
                Object::$kind(value)
            }
        }
    )*};
}
into_object!(
    Cluster, Node, Network, Service, Task, Material, KeyRing, User
);

impl From<IssuedToken> for Object {
    fn from(token: IssuedToken) -> Object {
        Object::JoinToken(token)
    }
}
