//! Puts a manager together: consensus, state, loops, services; and takes it apart again.

mod announce;
mod autolock;
mod group;
mod presence;
mod rekey;
mod revocation;

pub use presence::Reporting;

#[cfg(test)]
mod tests;

pub use crate::vault::Vault;
pub use crate::vault::key_file;
pub use weft_raft::KeyFileError;

use crate::acting::Grant;
use crate::api::ControlService;
use crate::api::Replica;
use crate::authz::AuthorizeLayer;
use crate::authz::Roll;
use crate::ca::CaService;
use crate::ca::CertifyError;
use crate::ca::certify;
use crate::consensus::ClusterProposer;
use crate::consensus::ManagerDialer;
use crate::consensus::StoreMachine;
use crate::consensus::settings;
use crate::departure::MembershipService;
use crate::dispatcher::Dispatcher;
use crate::dispatcher::Pace;
use crate::dispatcher::Parts;
use crate::dispatcher::Presence;
use crate::entropy::Entropy;
use crate::leader::Balance;
use crate::leader::ControlLoops;
use crate::leader::Liveness;
use crate::logs::ClusterLogs;
use crate::logs::LogBroker;
use crate::peer::PeerService;
use crate::people::People;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::run::group::Group;
use crate::store::Claim;
use crate::store::State;
use crate::store::Store;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use weft_pki::Credentials;
use weft_pki::LiveCredentials;
use weft_pki::UserProof;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::object::ObjectKey;
use weft_proto::time::Clock;
use weft_proto::wire::ca_server::CaServer;
use weft_proto::wire::control_server::ControlServer;
use weft_proto::wire::membership_server::MembershipServer;
use weft_proto::wire::peer_server::PeerServer;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftId;
use weft_raft::RaftNode;

/// A message between managers: the largest command and its envelope.
const MAX_MESSAGE: usize = 8 << 20;
/// How long agents may take to go elsewhere before this manager stops; then their sessions end.
const AGENTS_GO_WITHIN: Duration = Duration::from_secs(2);

/// A request to join or to renew: ten times what an honest one has.
const MAX_CA_MESSAGE: usize = 64 << 10;

/// What a manager is started with.
pub struct ManagerConfig {
    /// This node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its identity in the log.
    pub raft_id: u64,
    /// Where others reach it.
    pub addr: SocketAddr,
    /// Where its log and snapshots are.
    pub dir: PathBuf,
    /// What they are sealed with.
    pub vault: Arc<Vault>,
    /// What it proves its identity with.
    pub credentials: Arc<LiveCredentials>,
    /// The control port.
    pub listener: TcpListener,
    /// The time that is stamped into changes.
    pub clock: Arc<dyn Clock>,
    /// Where identifiers come from.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for ManagerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagerConfig")
            .field("node", &self.node)
            .field("addr", &self.addr)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Why a manager did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its log is damaged: what it had promised the others is lost to it.
    #[error(
        "the log in {dir} is damaged, and a manager that forgot what it promised must not vote. \
         To bring this node back: on another manager run \"weft node rm --force {node}\", then here \
         \"weft cluster leave --force\" and \"weft cluster join --token TOKEN MANAGER:2377\" \
         (\"weft cluster join-token manager\" on another manager shows the token). \
         If it was the only manager, restore a backup"
    )]
    Damaged {
        /// Where it is.
        dir: PathBuf,
        /// This node.
        node: NodeId,
        /// What is wrong.
        #[source]
        source: Box<weft_raft::StartError>,
    },
    /// The keys of its log.
    #[error(
        "the log in {dir} stays closed. Without its key, bring this node back: on another manager \
         run \"weft node rm --force {node}\", then here \"weft cluster leave --force\" and join again"
    )]
    Keys {
        /// Where the log is.
        dir: PathBuf,
        /// This node.
        node: NodeId,
        /// Why.
        #[source]
        source: weft_raft::KeyFileError,
    },
    /// Its log.
    #[error("the log in {dir} cannot be used")]
    Raft {
        /// Where it is.
        dir: PathBuf,
        /// Why.
        #[source]
        source: Box<weft_raft::StartError>,
    },
}

impl StartError {
    /// Whether this node can only come back as a new manager. It can go on as a worker.
    pub fn must_rejoin(&self) -> bool {
        match self {
            StartError::Damaged { .. } => true,
            StartError::Keys { source, .. } => {
                matches!(source, weft_raft::KeyFileError::Missing { .. })
            }
            StartError::Raft { .. } => false,
        }
    }
}

/// Why a cluster was not founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// The log has entries already.
    #[error(transparent)]
    Bootstrap(#[from] weft_raft::BootstrapError),
    /// The first transaction was not written.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// A running manager. Clones are the same one.
#[derive(Clone)]
pub struct Manager {
    raft: RaftNode,
    proposer: Arc<ClusterProposer>,
    presence: Arc<Presence>,
    routes: Routes,
    stop: CancellationToken,
    locked: watch::Receiver<u64>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("raft", &self.raft)
            .finish_non_exhaustive()
    }
}

impl Manager {
    /// Starts everything. The manager takes part once consensus lets it: at once after a restart,
    /// after [`Manager::found`], or when the leader adds it.
    #[expect(
        clippy::too_many_lines,
        reason = "the one place where the rooms are joined, a few lines for each"
    )]
    pub async fn start(config: ManagerConfig) -> Result<Manager, StartError> {
        let store = Arc::new(Store::default());
        let dialer = Arc::new(ManagerDialer(config.credentials.clone()));
        let raft = consensus(&config, &store, dialer.clone()).await?;
        let stop = CancellationToken::new();
        let (proposer, proposals) = ClusterProposer::new(
            raft.clone(),
            store.clone(),
            dialer.clone(),
            config.clock.clone(),
            config.entropy.clone(),
        );
        let broker = Arc::new(LogBroker::new(store.clone()));
        let presence = Arc::new(Presence::default());
        let liveness = Arc::new(Liveness::default());
        let balance = Arc::new(Balance::new(store.clone()));
        let group = Group::new(
            raft.clone(),
            proposer.clone(),
            store.clone(),
            liveness.clone(),
        );
        let group = Arc::new(group);
        let dispatcher = Dispatcher::new(Parts {
            store: store.clone(),
            proposer: proposer.clone(),
            clock: config.clock.clone(),
            logs: broker.clone(),
            presence: presence.clone(),
            shutdown: stop.clone(),
            pace: Pace::default(),
        });
        let control = ControlService::new(
            proposer.clone(),
            config.entropy.clone(),
            config.clock.clone(),
            Arc::new(ClusterLogs::new(broker.clone(), group.clone())),
            group.clone(),
            Replica::new(&store, &stop),
        );
        let (clock, entropy) = (config.clock.clone(), config.entropy.clone());
        let people = People::new(proposer.clone(), clock.clone(), entropy.clone());
        let control = ControlServer::new(control.with_people(people));
        let peer = PeerService::new(
            raft.clone(),
            proposer.clone(),
            liveness.clone(),
            balance.clone(),
            broker,
        );
        let ca = CaService::new(proposer.clone(), clock, entropy);
        let membership = MembershipService::new(proposer.clone(), group.clone());
        let announced = membership.clone();
        let incoming = weft_pki::serve_incoming(
            config.listener,
            config.credentials.clone(),
            stop.clone().cancelled_owned(),
        );
        let serving = weft_pki::server()
            .layer(AuthorizeLayer::tls(store.clone()))
            .add_service(raft.service())
            .add_service(peer_server(peer))
            .add_service(dispatcher.service())
            .add_service(CaServer::new(ca).max_decoding_message_size(MAX_CA_MESSAGE))
            .add_service(MembershipServer::new(membership))
            .add_service(control.clone())
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());

        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(err) = serving.await {
                tracing::error!(%err, "the control port's server ended");
            }
        });
        tasks.spawn(proposals.run(stop.clone()));
        tasks.spawn(async move { dispatcher.run().await });
        let reporting = Reporting::new(&raft, &proposer, &presence, &liveness, &balance);
        let told = move |answer| group.told(answer, Instant::now());
        tasks.spawn(reporting.run(told, stop.clone()));
        tasks.spawn(announce::keep(
            store.clone(),
            raft.clone(),
            announced,
            dialer.clone(),
            config.addr,
            stop.clone(),
        ));
        let (locked, locked_seen) = watch::channel(0);
        let (seen, held) = (store.clone(), config.vault.clone());
        tasks.spawn(autolock::follow(
            seen,
            proposer.clone(),
            held,
            locked,
            stop.clone(),
        ));
        let retire = rekey::retire(config.dir, raft.clone(), config.vault, stop.clone());
        tasks.spawn(retire);
        tasks.spawn(revocation::follow(
            store.clone(),
            raft.clone(),
            config.cluster,
            config.credentials,
            stop.clone(),
        ));
        let loops = ControlLoops {
            raft: raft.clone(),
            store,
            liveness,
            clock: config.clock,
            entropy: config.entropy,
        };
        tasks.spawn(loops.run(stop.clone()));
        Ok(Manager {
            raft,
            proposer,
            presence,
            routes: Routes::new(control),
            stop,
            locked: locked_seen,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }

    /// Founds a cluster of this manager alone, with these first objects.
    pub async fn found(&self, changes: Vec<Change>) -> Result<(), FoundError> {
        self.raft.bootstrap().await?;
        self.proposer.propose(changes).await?;
        Ok(())
    }

    /// The calls that people make, for the node's own socket.
    pub fn control_routes(&self) -> Routes {
        self.routes.clone()
    }

    /// A certificate for this manager, made here and now out of the state as it is here; `None` when
    /// that does not know it as a manager.
    ///
    /// # Errors
    /// The cluster's root cannot be used, or this machine has no randomness.
    pub fn certify(&self, now: SystemTime) -> Result<Option<Credentials>, CertifyError> {
        let view = self.proposer.local_view();
        let me = self.raft.status().borrow().me.node_id;
        let manages = view.node(me).is_some_and(|node| node.manager.is_some());
        let cluster = view.cluster().filter(|_| manages);
        cluster.map(|cluster| certify(cluster, me, now)).transpose()
    }

    /// Who leads, as far as known here.
    pub fn leader(&self) -> Option<Member> {
        self.raft.status().borrow().leader
    }

    /// Whether a majority of the managers answers. Waits for an election before it says no.
    pub async fn decides(&self) -> bool {
        self.proposer.fresh_view().await.is_ok()
    }

    /// How often the vault was locked anew because the cluster has another unlock key.
    pub fn locked(&self) -> watch::Receiver<u64> {
        self.locked.clone()
    }

    /// Where the other managers are reached, as far as known here.
    pub fn others(&self) -> Vec<SocketAddr> {
        let status = self.raft.status().borrow().clone();
        let others = status.members.values();
        let others = others.filter(|member| member.raft_id != status.me.raft_id);
        others.map(|member| member.addr).collect()
    }

    /// Where the other managers that vote are reached.
    fn voters(&self) -> Vec<SocketAddr> {
        let status = self.raft.status().borrow().clone();
        let others = status.members.values();
        let others = others.filter(|member| member.raft_id != status.me.raft_id);
        let voting = others.filter(|member| status.voters.contains(&member.raft_id));
        voting.map(|member| member.addr).collect()
    }

    /// Returns, with the reason, only if the manager cannot go on and the process must end.
    pub async fn failed(&self) -> String {
        self.raft.failed().await
    }

    /// Hands the leader's office over if it can, and its agents to the other managers, closes all
    /// sessions, and frees the log.
    pub async fn shutdown(&self) {
        self.hand_over().await;
        let others = self.voters();
        if !others.is_empty() {
            self.presence.hand_over(&others, AGENTS_GO_WITHIN).await;
        }
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let ended = async { while tasks.join_next().await.is_some() {} };
        // Open calls of people may go on for long; they are cut.
        drop(tokio::time::timeout(Duration::from_secs(1), ended).await);
        tasks.abort_all();
        self.raft.shutdown().await;
    }

    /// An orderly stop of the leader should cost the others no election.
    async fn hand_over(&self) {
        let status = self.raft.status().borrow().clone();
        if !status.is_leader {
            return;
        }
        let voters = status
            .followers
            .iter()
            .filter(|(id, _)| status.voters.contains(id));
        let best = voters.max_by_key(|(_, follower)| (follower.matched, follower.last_ack));
        if let Some((id, _)) = best
            && let Err(err) = self.raft.transfer_leader(*id).await
        {
            tracing::info!(%err, "nobody takes the leader's office over; the others will elect");
        }
    }
}

impl Roll for Store {
    fn manages(&self, node: NodeId) -> bool {
        let view = self.view();
        view.node(node).is_none_or(|node| node.manager.is_some())
    }

    fn grant(&self, user: &UserProof) -> Option<Grant> {
        granted(&self.view(), user)
    }

    fn regranted(&self, user: Arc<UserProof>, grant: Grant) -> BoxFuture<'static, ()> {
        let mut views = self.subscribe();
        Box::pin(async move {
            let same = |view: &State| granted(view, &user).is_some_and(|now| now.is_like(&grant));
            if views.wait_for(|view| !same(view)).await.is_err() {
                // This manager is going down; whatever is open goes with it.
                std::future::pending().await
            }
        })
    }
}

/// What a state grants a person: nothing unless the key she proved to have is the one it knows.
fn granted(state: &State, user: &UserProof) -> Option<Grant> {
    if state.cluster()?.id != user.identity.cluster {
        return None;
    }
    let ObjectKey::User(id) = state.holder(&Claim::UserName(user.identity.name.clone()))? else {
        return None;
    };
    let known = state.user(id).filter(|known| known.key == user.key)?;
    Some(Grant::of(known))
}

/// Between managers travel the largest commands.
fn peer_server(service: PeerService) -> PeerServer<PeerService> {
    PeerServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// This manager's part in the log, which it applies to `store`.
async fn consensus(
    config: &ManagerConfig,
    store: &Arc<Store>,
    dialer: Arc<dyn Dialer>,
) -> Result<RaftNode, StartError> {
    let me = Member {
        raft_id: RaftId(config.raft_id),
        node_id: config.node,
        addr: config.addr,
    };
    let raft = settings(me, config.cluster, &config.dir, &config.vault);
    let raft = raft.map_err(|source| StartError::Keys {
        dir: config.dir.clone(),
        node: config.node,
        source,
    })?;
    let machine = Arc::new(StoreMachine(store.clone()));
    RaftNode::start(raft, machine, dialer)
        .await
        .map_err(|source| {
            let (dir, source) = (config.dir.clone(), Box::new(source));
            if source.is_damage() {
                let node = config.node;
                StartError::Damaged { dir, node, source }
            } else {
                StartError::Raft { dir, source }
            }
        })
}
