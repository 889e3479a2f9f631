//! The calls.

use crate::acting;
use crate::acting::Quiet;
use crate::ca::admit::admit;
use crate::ca::enrol;
use crate::ca::enrol::Applicant;
use crate::ca::error::CaError;
use crate::ca::pace::Pace;
use crate::entropy::Entropy;
use crate::managers::manager_addrs;
use crate::propose::Proposer;
use crate::propose::retry::Decision;
use crate::propose::retry::transact;
use crate::store::State;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_pki::CertificateChain;
use weft_pki::JoinToken;
use weft_pki::NodeIdentity;
use weft_pki::issue;
use weft_pki::peer_of;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::object::Node;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::ca_server::Ca;

/// The service `weft.v1.Ca`, the same on every manager.
pub struct CaService {
    proposer: Arc<dyn Proposer>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Entropy>,
    pace: Pace,
    /// One join after the other on this manager: all at once, they would choose the same numbers
    /// and have to choose again.
    joining: Mutex<()>,
    refusals: Quiet,
}

/// A node that was written down, with its certificate.
struct Enrolled {
    node: Node,
    identity: NodeIdentity,
    chain: CertificateChain,
    /// What a manager's disk is locked with.
    unlock_key: Vec<u8>,
}

impl CaService {
    /// Changes go through `proposer`, certificates are valid from `clock`'s time, and nodes are
    /// named out of `ids`.
    pub fn new(proposer: Arc<dyn Proposer>, clock: Arc<dyn Clock>, ids: Arc<dyn Entropy>) -> Self {
        Self {
            proposer,
            clock,
            ids,
            pace: Pace::default(),
            joining: Mutex::new(()),
            refusals: Quiet::default(),
        }
    }

    async fn enrol(&self, request: &wire::IssueRequest) -> Result<wire::IssueResponse, CaError> {
        // What is no token at all costs nothing but this look.
        let token = JoinToken::parse(&request.token)?;
        let turn = self.pace.turn(Instant::now()).map_err(CaError::Busy)?;
        tokio::time::sleep_until(turn).await;
        let id = NodeId::from_entropy(self.ids.bits());
        let _one_at_a_time = self.joining.lock().await;
        let done = transact(&*self.proposer, |state| {
            self.decide(state, id, &token, request)
        })
        .await?;
        let Enrolled {
            node,
            identity,
            chain,
            unlock_key,
        } = done.outcome;
        tracing::info!(
            node = %node.id, hostname = %node.description.hostname, role = %identity.role,
            data_addr = %node.data_addr, "node joined"
        );
        let own = node.manager.map(|manager| manager.addr);
        let managers = done.view.map(|view| manager_addrs(&view));
        Ok(wire::IssueResponse {
            node_id: node.id.to_string(),
            cluster_id: identity.cluster.to_string(),
            role: wire::NodeRole::from(identity.role).into(),
            chain_der: der(&chain),
            manager_addrs: managers
                .unwrap_or_default()
                .into_iter()
                .filter(|addr| Some(*addr) != own)
                .map(|addr| addr.to_string())
                .collect(),
            raft_id: node.manager.map_or(0, |manager| manager.raft_id),
            unlock_key,
        })
    }

    /// Checks the token, the node and its request together, against one state.
    fn decide(
        &self,
        state: &State,
        id: NodeId,
        token: &JoinToken,
        request: &wire::IssueRequest,
    ) -> Result<Decision<Enrolled>, CaError> {
        let cluster = enrol::cluster(state)?;
        let role = admit(&cluster, token)?;
        acting::known_as(format!("token/{role}"));
        let applicant = Applicant::read(id, role, request)?;
        let now = self.clock.now();
        let Decision { changes, outcome } = enrol::enrol(state, &cluster, &applicant, now.into())?;
        let identity = NodeIdentity {
            cluster: cluster.id,
            role,
            node: id,
        };
        let ttl = cluster.settings.certificate_ttl;
        let chain = issue(
            &enrol::root(&cluster)?,
            &request.csr_der,
            &identity,
            now,
            ttl,
        )?;
        Ok(Decision {
            changes,
            outcome: Enrolled {
                node: outcome,
                identity,
                chain,
                unlock_key: match (role, &cluster.unlock_key) {
                    (Role::Manager, Some(key)) => key.to_vec(),
                    (Role::Manager | Role::Worker, _) => Vec::new(),
                },
            },
        })
    }

    async fn prolong(
        &self,
        caller: Option<NodeIdentity>,
        csr_der: &[u8],
    ) -> Result<wire::RenewResponse, CaError> {
        let caller = caller.ok_or(CaError::NoIdentity)?;
        let view = self.proposer.fresh_view().await?;
        let cluster = enrol::cluster(&view)?;
        if caller.cluster != cluster.id {
            return Err(CaError::Stranger {
                node: caller.node,
                ours: cluster.id,
            });
        }
        let node = view
            .node(caller.node)
            .ok_or(CaError::Removed(caller.node))?;
        // What the node is now, which need not be what its old certificate says, nor what it is
        // to become: a manager votes until the others have let it go.
        let role = match node.manager {
            Some(_) => Role::Manager,
            None => Role::Worker,
        };
        let identity = NodeIdentity { role, ..caller };
        let ttl = cluster.settings.certificate_ttl;
        let root = enrol::root(&cluster)?;
        let chain = issue(&root, csr_der, &identity, self.clock.now(), ttl)?;
        tracing::info!(node = %caller.node, %role, "certificate renewed");
        Ok(wire::RenewResponse {
            chain_der: der(&chain),
            role: wire::NodeRole::from(role).into(),
        })
    }
}

fn der(chain: &CertificateChain) -> Vec<Vec<u8>> {
    let certificates = chain.certificates().iter();
    certificates.map(|der| der.as_ref().to_vec()).collect()
}

impl fmt::Debug for CaService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaService").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl Ca for CaService {
    async fn issue(
        &self,
        request: Request<wire::IssueRequest>,
    ) -> Result<Response<wire::IssueResponse>, Status> {
        let from = peer_of(request.extensions()).map(|peer| peer.remote);
        match self.enrol(request.get_ref()).await {
            Ok(response) => Ok(Response::new(response)),
            Err(error) => {
                if let Some(skipped) = self.refusals.turn(Instant::now()) {
                    tracing::warn!(?from, skipped, %error, "a node may not join");
                }
                Err(error.into())
            }
        }
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let caller = peer_of(request.extensions()).and_then(|peer| peer.node);
        let response = self.prolong(caller, &request.get_ref().csr_der).await?;
        Ok(Response::new(response))
    }
}
