//! A node leaves by itself.

use crate::propose::ProposeError;
use crate::propose::Proposer;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_pki::peer_of;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::command::ConflictKind;
use weft_proto::object::Node;
use weft_proto::wire;
use weft_proto::wire::membership_server::Membership;

/// How often a departure is tried against concurrent changes of the node.
const ATTEMPTS: usize = 10;

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
        let unavailable = |err: ProposeError| Status::unavailable(err.to_string());
        for _ in 0..ATTEMPTS {
            let view = self.proposer.fresh_view().await.map_err(unavailable)?;
            let Some(node) = view.node(id) else {
                return Ok(());
            };
            let managers = view
                .nodes()
                .filter(|node| node.spec.role == Role::Manager)
                .count();
            if node.spec.role == Role::Manager && managers == 1 {
                return Err(Status::failed_precondition(
                    "this is the last manager: the cluster and everything in it ends with it",
                ));
            }
            match self
                .proposer
                .propose(vec![Change::remove(Node::clone(node))])
                .await
            {
                Ok(_) => return Ok(()),
                Err(ProposeError::Conflict(conflict))
                    if matches!(conflict.kind, ConflictKind::Version | ConflictKind::Missing) => {}
                Err(err) => return Err(unavailable(err)),
            }
        }
        Err(Status::aborted("the node changes too often: try again"))
    }
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
