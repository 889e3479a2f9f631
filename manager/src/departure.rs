//! A node about its own place: it leaves, asks what it should be, says where it is reached.

use crate::api::Members;
use crate::ca::check_advertise;
use crate::propose::Proposer;
use crate::propose::retry::Decision;
use crate::propose::retry::transact;
use crate::quorum;
use crate::store::State;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio::time::timeout;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_pki::peer_of;
use weft_pki::removed_status;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Cluster;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
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
        let members = || self.members.members();
        transact(&*self.proposer, |state| depart(state, id, &members())).await?;
        let name = id.to_string();
        let gone = async {
            while members().iter().any(|member| member.node_id == name) {
                sleep(LOOK).await;
            }
        };
        timeout(AGREE_WITHIN, gone).await.map_err(|_| {
            Status::unavailable("the managers have not agreed yet that this node leaves: try again")
        })
    }

    /// Writes down where a manager is reached, and gives a node that is to be one its place in the
    /// log. Returns what the node is then.
    pub(crate) async fn announce(
        &self,
        id: NodeId,
        addr: SocketAddr,
    ) -> Result<wire::AnnounceResponse, Status> {
        let done = transact(&*self.proposer, |state| announced(state, id, addr)).await?;
        let view = match done.view {
            Some(view) => view,
            None => self.proposer.fresh_view().await?,
        };
        let cluster = view.cluster();
        let key = cluster.and_then(|cluster| cluster.unlock_key.as_ref());
        Ok(wire::AnnounceResponse {
            standing: Some(standing(&view, id)?),
            unlock_key: key.map_or_else(Vec::new, |key| key.to_vec()),
        })
    }
}

fn depart(
    state: &State,
    id: NodeId,
    members: &[wire::ManagerMember],
) -> Result<Decision<()>, Status> {
    let mut changes = Vec::new();
    if let Some(node) = state.node(id) {
        if node.manager.is_some() {
            let name = &node.description.hostname;
            quorum::without(members, id.as_str(), name, &quorum::leaving(state, members))
                .map_err(|why| Status::failed_precondition(why.to_string()))?;
            changes.extend(quorum::one_at_a_time(state));
        }
        changes.push(Change::remove(Node::clone(node)));
    }
    Ok(Decision {
        changes,
        outcome: (),
    })
}

fn announced(state: &State, id: NodeId, addr: SocketAddr) -> Result<Decision<()>, Status> {
    let node = find(state, id)?;
    check_advertise(addr).map_err(|why| Status::invalid_argument(why.to_string()))?;
    let taken = state.nodes().find(|other| {
        other.id != id
            && other.status.state != NodeState::Down
            && other.manager.is_some_and(|manager| manager.addr == addr)
    });
    if let Some(other) = taken {
        let other = &other.description.hostname;
        return Err(Status::already_exists(format!(
            "address {addr} belongs to manager {other}: give this node an address of its own"
        )));
    }
    let mut changes = Vec::new();
    let mut new = Node::clone(node);
    match (node.manager, node.spec.role) {
        (Some(manager), _) => new.manager = Some(ManagerStatus { addr, ..manager }),
        (None, Role::Manager) => {
            let cluster = state.cluster();
            let cluster = cluster.ok_or_else(|| Status::unavailable("no cluster yet"))?;
            let mut cluster = Cluster::clone(cluster);
            let raft_id = cluster.next_raft_id;
            cluster.next_raft_id += 1;
            changes.push(Change::update(cluster));
            new.manager = Some(ManagerStatus { raft_id, addr });
        }
        (None, Role::Worker) => {
            return Err(Status::failed_precondition(
                "this node is a worker: make it a manager with `weft node promote`",
            ));
        }
    }
    if new != **node {
        changes.push(Change::update(new));
    }
    Ok(Decision {
        changes,
        outcome: (),
    })
}

fn find(state: &State, id: NodeId) -> Result<&Arc<Node>, Status> {
    state.node(id).ok_or_else(|| match state.removed_node(id) {
        Some(_) => removed_status(REMOVED),
        None => Status::not_found(format!("there is no node {id} in this cluster")),
    })
}

/// What a node that was removed is told.
pub(crate) const REMOVED: &str = "this node was removed from the cluster: its tasks end; join it \
     again with a token (`weft cluster join`) to make it a new node";

fn standing(state: &State, id: NodeId) -> Result<wire::Standing, Status> {
    let node = find(state, id)?;
    Ok(wire::Standing {
        version: node.meta.version,
        role: wire::NodeRole::from(node.spec.role).into(),
        raft_id: node.manager.map_or(0, |manager| manager.raft_id),
    })
}

fn caller<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let caller = peer_of(request.extensions()).and_then(|peer| peer.node);
    let caller = caller.ok_or_else(|| Status::unauthenticated("no certificate"))?;
    Ok(caller.node)
}

#[tonic::async_trait]
impl Membership for MembershipService {
    async fn depart(
        &self,
        request: Request<wire::DepartRequest>,
    ) -> Result<Response<wire::DepartResponse>, Status> {
        let node = caller(&request)?;
        self.forget(node).await?;
        tracing::info!(%node, "a node has left");
        let note = quorum::Margin::of(&self.members.members()).to_string();
        Ok(Response::new(wire::DepartResponse { note }))
    }

    async fn get_standing(
        &self,
        request: Request<wire::GetStandingRequest>,
    ) -> Result<Response<wire::GetStandingResponse>, Status> {
        let node = caller(&request)?;
        // Nobody gives up an office because of an old state.
        let view = self.proposer.fresh_view().await?;
        Ok(Response::new(wire::GetStandingResponse {
            standing: Some(standing(&view, node)?),
        }))
    }

    async fn announce(
        &self,
        request: Request<wire::AnnounceRequest>,
    ) -> Result<Response<wire::AnnounceResponse>, Status> {
        let node = caller(&request)?;
        let addr = &request.get_ref().advertise_addr;
        let addr = addr.parse().map_err(|_| {
            Status::invalid_argument(format!("{addr:?} is no address like 192.0.2.1:2377"))
        })?;
        let answer = MembershipService::announce(self, node, addr).await?;
        tracing::info!(%node, %addr, "a manager said where it is reached");
        Ok(Response::new(answer))
    }
}

#[cfg(test)]
#[path = "departure_tests.rs"]
mod tests;
