//! The calls.

use crate::acting;
use crate::acting::Quiet;
use crate::ca::admit::Admission;
use crate::ca::admit::admit;
use crate::ca::enrol;
use crate::ca::enrol::Applicant;
use crate::ca::error::CaError;
use crate::ca::pace::Pace;
use crate::ca::pace::Source;
use crate::ca::pending;
use crate::entropy::Entropy;
use crate::managers::manager_addrs;
use crate::propose::Proposer;
use crate::propose::retry::Decision;
use crate::propose::retry::transact;
use crate::store::State;
use std::fmt;
use std::net::IpAddr;
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
use weft_proto::object::Cluster;
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
    /// Of callers whose token is not known here: theirs are not the turns of others.
    strangers: Pace,
    /// One join after the other on this manager: all at once, they would choose the same numbers
    /// and have to choose again.
    joining: Mutex<()>,
    refusals: Quiet,
}

/// What becomes of a machine that asks to join.
enum Outcome {
    /// It is a node, with its certificate.
    Enrolled {
        node: Box<Node>,
        identity: NodeIdentity,
        chain: CertificateChain,
    },
    /// It waits until a person says a word.
    Waits { id: NodeId, role: Role },
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
            strangers: Pace::default(),
            joining: Mutex::new(()),
            refusals: Quiet::default(),
        }
    }

    async fn enrol(
        &self,
        from: Option<IpAddr>,
        request: &wire::IssueRequest,
    ) -> Result<wire::IssueResponse, CaError> {
        // What is no token at all costs nothing but this look.
        let token = JoinToken::parse(&request.token)?;
        let here = self.proposer.local_view();
        // Who waits asks every second, and takes nobody's turn.
        if let Some(waits) = self.waiting(&here, &token, request)? {
            return Ok(answer(waits, Some(&*here)));
        }
        self.turn(&here, from, &token, request).await?;
        let id = NodeId::from_entropy(self.ids.bits());
        let _one_at_a_time = self.joining.lock().await;
        let done = transact(&*self.proposer, |state| {
            self.decide(state, id, &token, request)
        })
        .await?;
        report(&done.outcome, &token, from);
        Ok(answer(done.outcome, done.view.as_deref()))
    }

    /// Waits until it is this caller's turn. Who has no token that counts here waits in another
    /// line than who has, and must then have one that counts everywhere.
    async fn turn(
        &self,
        here: &State,
        from: Option<IpAddr>,
        token: &JoinToken,
        request: &wire::IssueRequest,
    ) -> Result<(), CaError> {
        let known = self.is_welcome(here, token, request).is_ok();
        let pace = if known { &self.pace } else { &self.strangers };
        let turn = pace.turn(Source::of(from), Instant::now());
        tokio::time::sleep_until(turn.map_err(CaError::Busy)?).await;
        if !known {
            // The state here may be behind. Looked at before the others are held up.
            self.is_welcome(&*self.proposer.fresh_view().await?, token, request)?;
        }
        Ok(())
    }

    /// Whether a caller has a token that counts, or was let in by a person.
    fn is_welcome(
        &self,
        state: &State,
        token: &JoinToken,
        request: &wire::IssueRequest,
    ) -> Result<(), CaError> {
        let cluster = enrol::cluster(state)?;
        if pending::accepted(state, &request.csr_der)?.is_some() {
            return Ok(());
        }
        admit(state, &cluster, token, self.clock.now().into()).map(drop)
    }

    /// A machine that is known here to wait, from memory. That it was rejected is known too.
    fn waiting(
        &self,
        here: &State,
        token: &JoinToken,
        request: &wire::IssueRequest,
    ) -> Result<Option<Outcome>, CaError> {
        let Some(issued) = here.join_token(token.secret().id()) else {
            return Ok(None);
        };
        let id = pending::name_of(&request.csr_der);
        let place = id.and_then(|id| pending::place(issued, id));
        match place {
            None => Ok(None),
            Some(node) if node.rejected => Err(CaError::Rejected(node.id)),
            Some(node) => Ok(Some(Outcome::Waits {
                id: node.id,
                role: issued.role,
            })),
        }
    }

    /// Checks the token, the node and its request together, against one state.
    fn decide(
        &self,
        state: &State,
        id: NodeId,
        token: &JoinToken,
        request: &wire::IssueRequest,
    ) -> Result<Decision<Outcome>, CaError> {
        if let Some(waits) = self.waiting(state, token, request)? {
            return Ok(nothing(waits));
        }
        let cluster = enrol::cluster(state)?;
        if let Some(node) = pending::accepted(state, &request.csr_der)? {
            return self.certify(&cluster, node, request).map(nothing);
        }
        let now = self.clock.now().into();
        let admission = admit(state, &cluster, token, now)?;
        acting::known_as(admission.holder());
        let mut applicant = Applicant::read(id, admission.role, request)?;
        let Admission { role, issued } = &admission;
        if let Some(issued) = issued.as_ref().filter(|issued| issued.approve) {
            weft_pki::check_request(&request.csr_der)?;
            applicant.id = pending::name_of(&request.csr_der).unwrap_or(id);
            let (id, role) = (applicant.id, *role);
            let change = pending::line_up(state, &cluster, issued, applicant, now)?;
            return Ok(Decision {
                changes: vec![change],
                outcome: Outcome::Waits { id, role },
            });
        }
        if let Some(issued) = issued {
            applicant.labels = issued.labels.clone();
        }
        let enrolled = enrol::enrol(state, &cluster, &applicant, now)?;
        let changes = [admission.take(&cluster)]
            .into_iter()
            .chain(enrolled.changes);
        Ok(Decision {
            changes: changes.collect(),
            outcome: self.certify(&cluster, enrolled.outcome, request)?,
        })
    }

    /// The certificate of a node that has none yet.
    fn certify(
        &self,
        cluster: &Cluster,
        node: Node,
        request: &wire::IssueRequest,
    ) -> Result<Outcome, CaError> {
        let identity = NodeIdentity {
            cluster: cluster.id,
            role: match node.manager {
                Some(_) => Role::Manager,
                None => Role::Worker,
            },
            node: node.id,
        };
        let root = enrol::root(cluster)?;
        let ttl = cluster.settings.certificate_ttl;
        let chain = issue(&root, &request.csr_der, &identity, self.clock.now(), ttl)?;
        Ok(Outcome::Enrolled {
            node: Box::new(node),
            identity,
            chain,
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

fn answer(outcome: Outcome, view: Option<&State>) -> wire::IssueResponse {
    let cluster = view.and_then(State::cluster).map(|cluster| cluster.id);
    let (node, role, chain_der, manager, waits) = match outcome {
        Outcome::Enrolled {
            node,
            identity,
            chain,
        } => (node.id, identity.role, der(&chain), node.manager, false),
        Outcome::Waits { id, role } => (id, role, Vec::new(), None, true),
    };
    let own = manager.map(|manager| manager.addr);
    let managers = view.map(manager_addrs).unwrap_or_default().into_iter();
    wire::IssueResponse {
        node_id: node.to_string(),
        cluster_id: cluster.map(|id| id.to_string()).unwrap_or_default(),
        role: wire::NodeRole::from(role).into(),
        chain_der,
        manager_addrs: managers
            .filter(|addr| Some(*addr) != own)
            .map(|addr| addr.to_string())
            .collect(),
        raft_id: manager.map_or(0, |manager| manager.raft_id),
        waits,
    }
}

/// Everything is as asked for already.
fn nothing(outcome: Outcome) -> Decision<Outcome> {
    Decision {
        changes: Vec::new(),
        outcome,
    }
}

/// For the log of this manager: which token let whom in, and from where.
fn report(outcome: &Outcome, token: &JoinToken, from: Option<IpAddr>) {
    let token = token.secret().id();
    match outcome {
        Outcome::Enrolled { node, identity, .. } => tracing::info!(
            node = %node.id, hostname = %node.description.hostname, role = %identity.role,
            data_addr = %node.data_addr, token = token.short(), ?from, "node joined"
        ),
        Outcome::Waits { id, role } => tracing::info!(
            node = %id, %role, token = token.short(), ?from, "a machine waits to be let in"
        ),
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
        match self
            .enrol(from.map(|from| from.ip()), request.get_ref())
            .await
        {
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
