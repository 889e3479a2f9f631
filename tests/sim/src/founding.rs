//! What a simulated cluster begins with.
#![allow(
    clippy::needless_update,
    reason = "messages get more fields, which are to have their defaults here"
)]

use crate::agent::description;
use crate::host::addr;
use crate::host::cluster_id;
use crate::host::node_id;
use crate::net::Place;
use weft_proto::command::Change;
use weft_proto::convert::ConvertError;
use weft_proto::defaults;
use weft_proto::object::Cluster;
use weft_proto::object::Node;
use weft_proto::wire;

/// The cluster, its managers, which take no tasks, and its workers, as the first transaction.
///
/// # Errors
/// A bug: these objects are acceptable.
pub(crate) fn founding(managers: &[Place], workers: &[Place]) -> Result<Vec<Change>, ConvertError> {
    let cluster = Cluster::try_from(wire::Cluster {
        id: cluster_id().to_string(),
        root_certificate_der: vec![1],
        root_key_pem: "key".to_owned(),
        worker_token: "w".to_owned(),
        manager_token: "m".to_owned(),
        next_raft_id: 100,
        settings: Some((&defaults::settings()).into()),
        ..wire::Cluster::default()
    })?;
    let mut changes = vec![Change::create(cluster)];
    for place in managers {
        let manager = wire::ManagerStatus {
            raft_id: place.0,
            addr: addr(*place).to_string(),
            ..wire::ManagerStatus::default()
        };
        let drained = wire::Availability::Drain;
        changes.push(Change::create(node(*place, drained, Some(manager))?));
    }
    for place in workers {
        let active = wire::Availability::Active;
        changes.push(Change::create(node(*place, active, None)?));
    }
    Ok(changes)
}

fn node(
    place: Place,
    availability: wire::Availability,
    manager: Option<wire::ManagerStatus>,
) -> Result<Node, ConvertError> {
    let role = match manager {
        Some(_) => wire::NodeRole::Manager,
        None => wire::NodeRole::Worker,
    };
    Node::try_from(wire::Node {
        id: node_id(place).to_string(),
        spec: Some(wire::NodeSpec {
            role: role.into(),
            availability: availability.into(),
            ..wire::NodeSpec::default()
        }),
        description: Some(description(place)),
        status: Some(wire::NodeStatus {
            state: wire::NodeState::Unknown.into(),
            ..wire::NodeStatus::default()
        }),
        number: u32::try_from(place.0).unwrap_or(u32::MAX),
        data_addr: format!("192.0.2.{}", place.0),
        manager,
        ..wire::Node::default()
    })
}
