//! Nodes.

use crate::api::error::ApiError;
use crate::api::target;
use crate::propose::retry::Decision;
use crate::quorum::leaving;
use crate::quorum::one_at_a_time;
use crate::quorum::without;
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
    role: Option<Role>,
    add_labels: Labels,
    remove_labels: Vec<String>,
}

impl Edit {
    /// Reads what was asked for.
    pub(super) fn read(request: &wire::UpdateNodeRequest) -> Result<Self, ApiError> {
        let availability = request.availability.map(read_availability).transpose()?;
        Ok(Self {
            availability,
            role: request.role.map(read_role).transpose()?,
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

fn read_role(number: i32) -> Result<Role, ConvertError> {
    wire::NodeRole::try_from(number)
        .map_err(|_| ConvertError::new(format!("{number} is unknown here")))
        .and_then(Role::try_from)
        .map_err(|error| error.within("role"))
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

/// Availability, role and labels. Labels that are not there are removed without complaint.
pub(super) fn update(
    state: &State,
    node: &Node,
    edit: &Edit,
    members: &[wire::ManagerMember],
) -> Result<Decision<Node>, ApiError> {
    let mut new = node.clone();
    let mut changes = Vec::new();
    if let Some(role) = edit.role.filter(|role| *role != node.spec.role) {
        changes.extend(change_role(state, node, role, members)?);
        new.spec.role = role;
    }
    new.spec.availability = edit.availability.unwrap_or(new.spec.availability);
    for key in &edit.remove_labels {
        new.spec.labels.remove(key);
    }
    new.spec.labels.extend(edit.add_labels.clone());
    if new != *node {
        changes.push(Change::update(new.clone()));
    }
    Ok(Decision {
        changes,
        outcome: new,
    })
}

/// Whether a node may change its role, and what must not change meanwhile.
fn change_role(
    state: &State,
    node: &Node,
    role: Role,
    members: &[wire::ManagerMember],
) -> Result<Option<Change>, ApiError> {
    let name = node.description.hostname.clone();
    match (role, node.manager) {
        (Role::Manager, None) => Ok(None),
        // Its identity in the log is spent; it gets another one once it is a worker.
        (Role::Manager, Some(_)) => Err(ApiError::StillManages { node: name }),
        // It was to become one and never did.
        (Role::Worker, None) => Ok(None),
        (Role::Worker, Some(_)) => {
            without(members, node.id.as_str(), &name, &leaving(state, members))?;
            Ok(one_at_a_time(state))
        }
    }
}

/// Removes a node whatever it is and does, because nobody trusts it any more: managers cut its
/// connections, and other nodes what they send it. A manager only when the others can decide
/// without it.
pub(super) fn revoke(
    state: &State,
    node: &Node,
    this: NodeId,
    members: &[wire::ManagerMember],
) -> Result<Decision<NodeId>, ApiError> {
    if node.id == this {
        return Err(ApiError::RevokesItself {
            node: node.description.hostname.clone(),
        });
    }
    let mut changes = Vec::new();
    if node.manager.is_some() {
        let name = &node.description.hostname;
        without(members, node.id.as_str(), name, &leaving(state, members))?;
        changes.extend(one_at_a_time(state));
    }
    changes.push(Change::remove(node.clone()));
    Ok(Decision {
        changes,
        outcome: node.id,
    })
}

/// Removes a node that is gone. A manager only when nobody hears it any more, since it takes part
/// in every decision until it leaves the group.
pub(super) fn remove(
    state: &State,
    node: &Node,
    force: bool,
    members: &[wire::ManagerMember],
) -> Result<Decision<NodeId>, ApiError> {
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
    let mut changes = Vec::new();
    if node.manager.is_some() {
        let name = &node.description.hostname;
        without(members, node.id.as_str(), name, &leaving(state, members))?;
        changes.extend(one_at_a_time(state));
    }
    changes.push(Change::remove(node.clone()));
    Ok(Decision {
        changes,
        outcome: node.id,
    })
}
