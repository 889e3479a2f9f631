//! Networks.

use crate::acting::Scope;
use crate::allocator::choose_subnet;
use crate::allocator::choose_vni;
use crate::api::error::ApiError;
use crate::api::stack::of_stack;
use crate::api::target;
use crate::propose::retry::Decision;
use crate::store::Claim;
use crate::store::State;
use std::sync::Arc;
use weft_proto::NetworkId;
use weft_proto::command::Change;
use weft_proto::object::Meta;
use weft_proto::object::Network;
use weft_proto::spec::NetworkSpec;

/// A new network, with its subnet and its identifier on the wire. One that has this identifier was
/// made by the same request.
pub(super) fn create(
    state: &State,
    scope: &Scope,
    id: NetworkId,
    spec: &NetworkSpec,
) -> Result<Decision<Network>, ApiError> {
    of_stack(scope, "network", &spec.labels)?;
    if let Some(made) = state.network(id) {
        return Ok(Decision {
            changes: Vec::new(),
            outcome: Network::clone(made),
        });
    }
    let taken = state.holder(&Claim::NetworkName(spec.name.clone()));
    if taken.is_some() {
        return Err(ApiError::NameTaken {
            kind: "network",
            name: spec.name.clone(),
        });
    }
    // Tasks of an encrypted network only go to nodes that can encrypt.
    if spec.encrypted && !state.nodes().any(|node| node.description.encrypts) {
        return Err(ApiError::CannotEncrypt(spec.name.clone()));
    }
    if let Some(subnet) = spec.subnet
        && let Some(other) = state
            .networks()
            .find(|other| other.subnet.contains(&subnet) || subnet.contains(&other.subnet))
    {
        return Err(ApiError::SubnetOverlaps {
            subnet,
            theirs: other.subnet,
            network: other.spec.name.clone(),
        });
    }
    let network = Network {
        meta: Meta::default(),
        id,
        spec: spec.clone(),
        vni: choose_vni(state)?,
        subnet: choose_subnet(state, spec.subnet)?,
    };
    Ok(Decision {
        changes: vec![Change::create(network.clone())],
        outcome: network,
    })
}

/// The networks that are meant, by name; with an empty target all.
pub(super) fn list(
    state: &State,
    scope: &Scope,
    target: &str,
) -> Result<Vec<Arc<Network>>, ApiError> {
    if !target.is_empty() {
        return Ok(vec![target::network(state, scope, target)?]);
    }
    let mine = |network: &&Arc<Network>| scope.has(&network.spec.labels);
    let mut all: Vec<_> = state.networks().filter(mine).cloned().collect();
    all.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    Ok(all)
}

/// Removes a network that nothing uses.
pub(super) fn remove(
    state: &State,
    scope: &Scope,
    target: &str,
) -> Result<Decision<NetworkId>, ApiError> {
    let network = target::network(state, scope, target)?;
    if let Some((user, remedy)) = user(state, network.id) {
        return Err(ApiError::NetworkUsed {
            network: network.spec.name.clone(),
            user,
            remedy,
        });
    }
    Ok(Decision {
        changes: vec![Change::remove(Network::clone(&network))],
        outcome: network.id,
    })
}

/// Who uses a network, and what to do about it. The store refuses the same cases, without a remedy.
fn user(state: &State, id: NetworkId) -> Option<(String, &'static str)> {
    let service = state
        .services()
        .find(|service| service.spec.task.networks.iter().any(|net| net.id == id));
    if let Some(service) = service {
        let user = format!("service {}", service.spec.name);
        return Some((user, "take it out of that service, or remove the service"));
    }
    state
        .tasks()
        .filter(|task| !task.status.state.is_terminal())
        .find(|task| task.spec.networks.iter().any(|net| net.id == id))
        .map(|task| {
            let user = format!("task {}, which is still stopping", task.name());
            (user, "try again when it has ended")
        })
}
