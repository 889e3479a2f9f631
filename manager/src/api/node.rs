//! Nodes.

use crate::api::error::ApiError;
use crate::api::target;
use crate::propose::retry::Decision;
use crate::store::State;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::convert::ConvertError;
use weft_proto::convert::labels;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::spec::Availability;
use weft_proto::spec::Labels;
use weft_proto::wire;

/// The node that answers may be called so, unless a node has it as its host name.
const SELF: &str = "self";

/// What is to change of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    availability: Option<Availability>,
    add_labels: Labels,
    remove_labels: Vec<String>,
}

impl Edit {
    /// Reads what was asked for.
    pub(super) fn read(request: &wire::UpdateNodeRequest) -> Result<Self, ApiError> {
        let availability = request.availability.map(read_availability).transpose()?;
        Ok(Self {
            availability,
            add_labels: labels(request.add_labels.clone()).map_err(|e| e.within("add"))?,
            remove_labels: request.remove_labels.clone(),
        })
    }
}

fn read_availability(number: i32) -> Result<Availability, ConvertError> {
    wire::Availability::try_from(number)
        .map_err(|_| ConvertError::new(format!("{number} is unknown here")))
        .and_then(Availability::try_from)
        .map_err(|error| error.within("availability"))
}

/// The node that is meant, where `this` answers.
pub(super) fn find(state: &State, target: &str, this: NodeId) -> Result<Arc<Node>, ApiError> {
    match (target::node(state, target), state.node(this)) {
        (Err(_), Some(node)) if target == SELF => Ok(node.clone()),
        (found, _) => found,
    }
}

/// All nodes, by host name.
pub(super) fn list(state: &State) -> Vec<Arc<Node>> {
    let mut nodes: Vec<_> = state.nodes().cloned().collect();
    nodes.sort_by(|a, b| {
        let name = a.description.hostname.cmp(&b.description.hostname);
        name.then(a.number.cmp(&b.number))
    });
    nodes
}

/// Availability and labels. Labels that are not there are removed without complaint.
pub(super) fn update(node: &Node, edit: &Edit) -> Decision<Node> {
    let mut new = node.clone();
    new.spec.availability = edit.availability.unwrap_or(new.spec.availability);
    for key in &edit.remove_labels {
        new.spec.labels.remove(key);
    }
    new.spec.labels.extend(edit.add_labels.clone());
    let changes = if new == *node {
        Vec::new()
    } else {
        vec![Change::update(new.clone())]
    };
    Decision {
        changes,
        outcome: new,
    }
}

/// Removes a node that is gone. A manager only when nobody hears it any more, since it takes part
/// in every decision until it leaves the group.
pub(super) fn remove(node: &Node, force: bool) -> Result<Decision<NodeId>, ApiError> {
    let down = node.status.state == NodeState::Down;
    let manages = node.manager.is_some() || node.spec.role == Role::Manager;
    if manages && !(down && force) {
        return Err(ApiError::NodeManages {
            node: node.description.hostname.clone(),
        });
    }
    if !down && !force {
        return Err(ApiError::NodeNotDown {
            node: node.description.hostname.clone(),
            state: node.status.state,
        });
    }
    Ok(Decision {
        changes: vec![Change::remove(node.clone())],
        outcome: node.id,
    })
}
