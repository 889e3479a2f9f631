//! Proposals from any manager: to the log here, or to the leader.

use crate::acting;
use crate::consensus::attempt::Attempt;
use crate::consensus::attempt::Logged;
use crate::consensus::gather::Gather;
use crate::consensus::gather::Trips;
use crate::consensus::gather::gather;
use crate::consensus::links::Links;
use crate::consensus::local::LocalLog;
use crate::consensus::local::LocalWork;
use crate::consensus::rounds::Rounds;
use crate::entropy::Entropy;
use crate::propose::BoxFuture;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::Store;
use crate::store::View;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::convert::decode_result;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::peer_client::PeerClient;
use weft_proto::wire::propose_outcome::Kind as OutcomeKind;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftNode;

/// How long a request waits for a leader. Longer than an election on a busy machine, shorter than
/// people wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts while nobody leads: an election takes some hundreds of milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// A [`Proposer`] that finds the leader.
pub struct ClusterProposer {
    raft: RaftNode,
    store: Arc<Store>,
    links: Arc<Links>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    log: LocalLog,
    to_leader: Gather,
    reads: Rounds<Attempt<u64>>,
}

impl std::fmt::Debug for ClusterProposer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterProposer")
            .field("raft", &self.raft)
            .finish_non_exhaustive()
    }
}

/// What a proposer does beside its callers; without it nothing is proposed.
pub struct ProposerWork {
    proposer: Arc<ClusterProposer>,
    log: LocalWork,
    to_leader: Trips,
}

impl std::fmt::Debug for ProposerWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProposerWork").finish_non_exhaustive()
    }
}

impl ProposerWork {
    /// Runs until `stop`. Whoever waits for an answer then is told that the manager stops.
    pub async fn run(self, stop: CancellationToken) {
        let proposer = self.proposer;
        let forward = self.to_leader.run(|commands| {
            let proposer = proposer.clone();
            async move { proposer.forward(commands).await }
        });
        let both = async { tokio::join!(self.log.run(), forward) };
        stop.run_until_cancelled(both).await;
    }
}

impl ClusterProposer {
    /// A proposer of this manager, and its work.
    pub fn new(
        raft: RaftNode,
        store: Arc<Store>,
        dialer: Arc<dyn Dialer>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> (Arc<Self>, ProposerWork) {
        let (log, local) = LocalLog::new(raft.clone());
        let links = Arc::new(Links::new(raft.clone(), dialer));
        let (to_leader, trips) = gather();
        let proposer = Arc::new(ClusterProposer {
            raft,
            store,
            links,
            clock,
            entropy,
            log,
            to_leader,
            reads: Rounds::default(),
        });
        let work = ProposerWork {
            proposer: proposer.clone(),
            log: local,
            to_leader: trips,
        };
        (proposer, work)
    }

    /// The log of this manager: what other managers propose at it when it leads.
    pub(super) fn log(&self) -> &LocalLog {
        &self.log
    }

    /// A connection to another manager. Connections are kept.
    pub fn channel(&self, member: Member) -> Channel {
        self.links.channel(member)
    }

    /// A client of another manager's peer service.
    pub fn peer(&self, member: Member) -> PeerClient<Channel> {
        self.links.peer(member)
    }

    async fn propose_command(
        &self,
        id: CommandId,
        changes: Vec<Change>,
    ) -> Result<u64, ProposeError> {
        let here = self.raft.status().borrow().me.node_id;
        // One id for all attempts: whichever reaches the log first counts, the others change nothing.
        let command = Command {
            id,
            at: self.clock.timestamp(),
            actor: acting::stamp(&self.store.view(), here, &changes),
            changes,
        }
        .encode();
        let logged = self.until_done(|| self.try_propose(&command)).await?;
        let result = decode_result(&logged.result)
            .map_err(|problem| ProposeError::NoLeader(format!("odd answer: {problem}")))?;
        self.applied(logged.index).await?;
        Ok(result?)
    }

    /// The state here, once it has the entry. A manager that was cut off meanwhile says so.
    async fn applied(&self, index: u64) -> Result<View, ProposeError> {
        let applied = timeout(PATIENCE, self.store.wait_applied(index)).await;
        applied.map_err(|_| {
            ProposeError::NoLeader(format!("this manager has not caught up to entry {index}"))
        })
    }

    async fn try_propose(&self, command: &[u8]) -> Attempt<Logged> {
        match self.leader() {
            Leader::Me => self.log.propose(command.to_vec()).await,
            Leader::Other(_) => self.to_leader.send(command.to_vec()).await,
            Leader::Nobody => nobody(),
        }
    }

    /// Takes commands to whoever leads now.
    async fn forward(&self, commands: Vec<Vec<u8>>) -> Vec<Attempt<Logged>> {
        let count = commands.len();
        let leader = match self.leader() {
            Leader::Me => return self.log.propose_all(commands).await,
            Leader::Other(leader) => leader,
            Leader::Nobody => return vec![nobody(); count],
        };
        let request = wire::ProposeManyRequest { commands };
        let mut peer = self.peer(leader);
        let outcomes = match self.links.ask(leader, peer.propose_many(request)).await {
            Ok(answer) => answer.outcomes,
            Err(why) => return vec![Attempt::Again(why); count],
        };
        let mut outcomes: Vec<_> = outcomes.into_iter().map(read_outcome).collect();
        // Of too few answers the missing ones are unknown.
        outcomes.resize(
            count,
            Attempt::Again(format!("{leader}: not all was answered")),
        );
        outcomes
    }

    async fn try_read_index(&self) -> Attempt<u64> {
        match self.leader() {
            Leader::Me => self.log.read_index().await,
            Leader::Other(leader) => {
                let links = self.links.clone();
                let ask = move || async move { links.read_index(leader).await };
                self.reads.join(ask).await
            }
            Leader::Nobody => nobody(),
        }
    }

    async fn until_done<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, ProposeError>
    where
        F: Future<Output = Attempt<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::from("no manager leads");
        let mut status = self.raft.status();
        while Instant::now() < deadline {
            let before = status.borrow().leader;
            match timeout_at(deadline, attempt()).await {
                Ok(Attempt::Done(value)) => return Ok(value),
                Ok(Attempt::Never(err)) => return Err(err),
                Ok(Attempt::Again(why)) => last = why,
                Err(_) => break,
            }
            // Another leader than the one that was asked ends the pause early.
            let other = status.wait_for(|now| now.leader.is_some() && now.leader != before);
            drop(timeout(PAUSE, other).await);
        }
        Err(ProposeError::NoLeader(last))
    }

    fn leader(&self) -> Leader {
        let status = self.raft.status();
        let status = status.borrow();
        match status.leader {
            _ if status.is_leader => Leader::Me,
            Some(leader) if leader.raft_id != status.me.raft_id => Leader::Other(leader),
            Some(_) | None => Leader::Nobody,
        }
    }
}

enum Leader {
    Me,
    Other(Member),
    Nobody,
}

fn nobody<T>() -> Attempt<T> {
    Attempt::Again("no manager leads".to_owned())
}

fn read_outcome(outcome: wire::ProposeOutcome) -> Attempt<Logged> {
    match outcome.kind {
        Some(OutcomeKind::Done(done)) => Attempt::Done(Logged {
            index: done.index,
            result: done.result,
        }),
        Some(OutcomeKind::Later(why)) => Attempt::Again(why),
        Some(OutcomeKind::TooLarge(why)) => Attempt::Never(ProposeError::TooLarge(why)),
        None => Attempt::Again("the leader's answer is not understood".to_owned()),
    }
}

impl Proposer for ClusterProposer {
    fn propose(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<u64, ProposeError>> {
        self.propose_as(CommandId::from_entropy(self.entropy.bits()), changes)
    }

    fn propose_as(
        &self,
        id: CommandId,
        changes: Vec<Change>,
    ) -> BoxFuture<'_, Result<u64, ProposeError>> {
        Box::pin(self.propose_command(id, changes))
    }

    fn local_view(&self) -> View {
        self.store.view()
    }

    fn fresh_view(&self) -> BoxFuture<'_, Result<View, ProposeError>> {
        Box::pin(async {
            let index = self.until_done(|| self.try_read_index()).await?;
            self.applied(index).await
        })
    }
}
