//! Objects as callers get to see them.

use crate::store::Item;
use weft_proto::object::IssuedToken;
use weft_proto::object::KeyRing;
use weft_proto::object::Material;
use weft_proto::spec::MaterialKind;
use weft_proto::wire;
use weft_proto::wire::object::Kind;

/// An object without what must not leave the managers.
pub(super) fn shown(item: &Item) -> wire::Object {
    let kind = match item {
        Item::Cluster(cluster) => Kind::Cluster(wire::Cluster {
            root_key_pem: String::new(),
            worker_token: String::new(),
            manager_token: String::new(),
            ..(&**cluster).into()
        }),
        Item::Node(node) => Kind::Node((&**node).into()),
        Item::Network(network) => Kind::Network((&**network).into()),
        Item::Service(service) => Kind::Service((&**service).into()),
        Item::Task(task) => Kind::Task((&**task).into()),
        Item::User(user) => Kind::User((&**user).into()),
        Item::JoinToken(token) => Kind::JoinToken(token_shown(token)),
        Item::Material(material) => {
            let shown = wire::Material::from(&Material::clone(material).without_data());
            match material.kind {
                MaterialKind::Secret => Kind::Secret(shown),
                MaterialKind::Config => Kind::Config(shown),
            }
        }
        Item::KeyRing(ring) => Kind::KeyRing(wire::KeyRing {
            meta: Some(ring.meta.into()),
            epochs: epochs(ring),
        }),
    };
    wire::Object { kind: Some(kind) }
}

/// The epochs of a ring, without their keys.
pub(super) fn epochs(ring: &KeyRing) -> Vec<wire::KeyEpoch> {
    let epochs = ring.epochs.iter();
    let shown = epochs.map(|epoch| wire::KeyEpoch {
        number: epoch.number,
        key: Vec::new(),
        born_at_ms: epoch.born.as_millis(),
        phase: wire::key_epoch::Phase::from(epoch.phase).into(),
        since_ms: epoch.since.as_millis(),
    });
    shown.collect()
}

/// A join token without what its secret is recognised by.
pub(super) fn token_shown(token: &IssuedToken) -> wire::JoinToken {
    wire::JoinToken {
        sha256: Vec::new(),
        ..token.into()
    }
}
