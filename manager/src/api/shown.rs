//! Objects as callers get to see them.

use crate::store::Item;
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
            unlock_key: Vec::new(),
            ..(&**cluster).into()
        }),
        Item::Node(node) => Kind::Node((&**node).into()),
        Item::Network(network) => Kind::Network((&**network).into()),
        Item::Service(service) => Kind::Service((&**service).into()),
        Item::Task(task) => Kind::Task((&**task).into()),
        Item::Material(material) => {
            let shown = wire::Material::from(&Material::clone(material).without_data());
            match material.kind {
                MaterialKind::Secret => Kind::Secret(shown),
                MaterialKind::Config => Kind::Config(shown),
            }
        }
    };
    wire::Object { kind: Some(kind) }
}
