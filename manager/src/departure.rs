//! A node leaves by itself.

use crate::api::Members;
use crate::propose::Proposer;
use crate::propose::retry::Decision;
use crate::propose::retry::transact;
use crate::store::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio::time::timeout;
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

/// How long the managers may take to agree on a group without the leaving one.
const AGREE_WITHIN: Duration = Duration::from_secs(8);
/// Between two looks at the group.
const LOOK: Duration = Duration::from_millis(20);

/// The service `weft.v1.Membership`, the same on every manager.
#[derive(Clone)]
pub struct MembershipService {
    proposer: Arc<dyn Proposer>,
    members: Arc<dyn Members>,
}

impl std::fmt::Debug for MembershipService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MembershipService").finish_non_exhaustive()
    }
}

impl MembershipService {
    /// Changes go through `proposer`; `members` knows the group of managers.
    pub fn new(proposer: Arc<dyn Proposer>, members: Arc<dyn Members>) -> Self {
        MembershipService { proposer, members }
    }

    /// Forgets the node, and waits until a manager's voice counts no longer: one that stopped while
    /// it still does would be missed by the vote on its own removal. A node that is unknown has left.
    async fn forget(&self, id: NodeId) -> Result<(), Status> {
        transact(&*self.proposer, |state| depart(state, id)).await?;
        let name = id.to_string();
        let gone = async {
            while self
                .members
                .members()
                .iter()
                .any(|member| member.node_id == name)
            {
                sleep(LOOK).await;
            }
        };
        timeout(AGREE_WITHIN, gone).await.map_err(|_| {
            Status::unavailable("the managers have not agreed yet that this node leaves: try again")
        })
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
