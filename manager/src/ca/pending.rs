//! Machines that may join only when a person says so: they wait in the state, in the token they came
//! with, and hold nothing on any manager. They ask again and again, whichever manager they like.

use crate::ca::addr;
use crate::ca::admit::used;
use crate::ca::enrol;
use crate::ca::enrol::Applicant;
use crate::ca::error::CaError;
use crate::propose::retry::Decision;
use crate::store::State;
use std::time::Duration;
use weft_pki::requested_key_bits;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Cluster;
use weft_proto::object::IssuedToken;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::object::PendingNode;
use weft_proto::time::Timestamp;

/// Most machines that wait with one token, the rejected ones included: each is about a kilobyte of
/// the state, and nobody looks through more.
const MAX_PENDING: usize = 64;

/// A machine that was not let in for so long is forgotten when another one comes.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a machine is called that asks for a certificate for a key: the same however often it asks.
/// `None`: it is no request.
pub(super) fn name_of(csr_der: &[u8]) -> Option<NodeId> {
    requested_key_bits(csr_der).map(NodeId::from_entropy)
}

/// The place of a machine among those that wait.
pub(super) fn place(token: &IssuedToken, id: NodeId) -> Option<&PendingNode> {
    token.pending.iter().find(|node| node.id == id)
}

/// The node that was accepted and has not been heard of: it may fetch its certificate, also twice if
/// an answer was lost. The certificate is for the key that the node is called after, so it is of no
/// use to anybody else.
pub(super) fn accepted(state: &State, csr_der: &[u8]) -> Result<Option<Node>, CaError> {
    let Some(id) = name_of(csr_der) else {
        return Ok(None);
    };
    if state.removed_node(id).is_some() {
        return Err(CaError::Rejected(id));
    }
    let node = state.node(id);
    let node = node.filter(|node| node.status.state == NodeState::Unknown);
    Ok(node.map(|node| Node::clone(node)))
}

/// Lets a machine wait. It takes a use of the token, whatever becomes of it.
pub(super) fn line_up(
    state: &State,
    cluster: &Cluster,
    token: &IssuedToken,
    applicant: Applicant,
    now: Timestamp,
) -> Result<Change, CaError> {
    addr::check_ingress(applicant.data_addr, cluster.settings.ingress_pool)?;
    addr::check_networks(state, applicant.data_addr)?;
    addr::earlier_attempts(
        state,
        &applicant.description.hostname,
        applicant.data_addr,
        applicant.advertise_addr,
    )?;
    let mut token = used(token);
    token
        .pending
        .retain(|node| now.since(node.asked) < FORGOTTEN_AFTER);
    if token.pending.len() >= MAX_PENDING {
        return Err(CaError::Crowded(token.id));
    }
    token.pending.push(PendingNode {
        id: applicant.id,
        description: applicant.description,
        data_addr: applicant.data_addr,
        advertise_addr: applicant.advertise_addr,
        asked: now,
        rejected: false,
    });
    Ok(Change::update(token))
}

/// Makes a waiting machine a node. It fetches its certificate the next time it asks.
///
/// # Errors
/// What speaks against it now: its address may have been given to another one meanwhile.
pub(crate) fn accept(
    state: &State,
    token: &IssuedToken,
    pending: &PendingNode,
    now: Timestamp,
) -> Result<Decision<Node>, CaError> {
    let cluster = enrol::cluster(state)?;
    let applicant = Applicant {
        id: pending.id,
        description: pending.description.clone(),
        data_addr: pending.data_addr,
        advertise_addr: pending
            .advertise_addr
            .filter(|_| token.role == Role::Manager),
        labels: token.labels.clone(),
    };
    let mut decision = enrol::enrol(state, &cluster, &applicant, now)?;
    let mut token = token.clone();
    token.pending.retain(|node| node.id != pending.id);
    decision.changes.push(Change::update(token));
    Ok(decision)
}

/// Says no to a waiting machine. It is told the next time it asks.
pub(crate) fn reject(token: &IssuedToken, pending: &PendingNode) -> Decision<()> {
    let mut token = token.clone();
    for node in &mut token.pending {
        node.rejected |= node.id == pending.id;
    }
    Decision {
        changes: vec![Change::update(token)],
        outcome: (),
    }
}
