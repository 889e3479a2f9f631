//! A node leaves by itself.

use crate::propose::Proposer;
use crate::propose::retry::Decision;
use crate::propose::retry::transact;
use crate::store::State;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_pki::peer_of;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::wire;
use weft_proto::wire::membership_server::Membership;

/// The service `weft.v1.Membership`, the same on every manager.
#[derive(Clone)]
pub struct MembershipService {
    proposer: Arc<dyn Proposer>,
}

impl std::fmt::Debug for MembershipService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MembershipService").finish_non_exhaustive()
    }
}

impl MembershipService {
    /// Changes go through `proposer`.
    pub fn new(proposer: Arc<dyn Proposer>) -> Self {
        MembershipService { proposer }
    }

    /// Forgets the node; the log's membership follows by itself. A node that is unknown has left.
    async fn forget(&self, id: NodeId) -> Result<(), Status> {
        let departed = transact(&*self.proposer, |state| depart(state, id)).await;
        departed.map(|_| ())
    }
}

fn depart(state: &State, id: NodeId) -> Result<Decision<()>, Status> {
    let Some(node) = state.node(id) else {
        let changes = Vec::new();
        return Ok(Decision {
            changes,
            outcome: (),
        });
    };
    let managers = state
        .nodes()
        .filter(|node| node.spec.role == Role::Manager)
        .count();
    if node.spec.role == Role::Manager && managers == 1 {
        return Err(Status::failed_precondition(
            "this is the last manager: the cluster and everything in it ends with it",
        ));
    }
    let changes = vec![Change::remove(Node::clone(node))];
    Ok(Decision {
        changes,
        outcome: (),
    })
}

#[tonic::async_trait]
impl Membership for MembershipService {
    async fn depart(
        &self,
        request: Request<wire::DepartRequest>,
    ) -> Result<Response<wire::DepartResponse>, Status> {
        let caller = peer_of(request.extensions()).and_then(|peer| peer.node);
        let caller = caller.ok_or_else(|| Status::unauthenticated("no certificate"))?;
        self.forget(caller.node).await?;
        tracing::info!(node = %caller.node, "a node has left");
        Ok(Response::new(wire::DepartResponse {}))
    }
}
