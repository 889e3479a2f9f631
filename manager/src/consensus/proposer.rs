//! Proposals from any manager: to the log here, or to the leader.

use crate::consensus::ManagerDialer;
use crate::entropy::Entropy;
use crate::propose::BoxFuture;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::Store;
use crate::store::View;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;
use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::convert::decode_result;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::peer_client::PeerClient;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::ProposeError as RaftError;
use weft_raft::RaftNode;
use weft_raft::ReadError;

/// How long a request waits for a leader. Longer than an election on a busy machine, shorter than
/// people wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts while nobody leads: an election takes some hundreds of milliseconds.
const PAUSE: Duration = Duration::from_millis(50);
/// One attempt at a leader that may be gone without a word.
const ATTEMPT: Duration = Duration::from_secs(3);

/// A [`Proposer`] that finds the leader.
pub struct ClusterProposer {
    raft: RaftNode,
    store: Arc<Store>,
    dialer: ManagerDialer,
    channels: Mutex<BTreeMap<Member, Channel>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for ClusterProposer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterProposer")
            .field("raft", &self.raft)
            .finish_non_exhaustive()
    }
}

/// What to do after an attempt.
enum Attempt<T> {
    Done(T),
    /// Not answered; try again, perhaps elsewhere.
    Again(String),
    Never(ProposeError),
}

impl ClusterProposer {
    /// A proposer of this manager.
    pub fn new(
        raft: RaftNode,
        store: Arc<Store>,
        dialer: ManagerDialer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        ClusterProposer {
            raft,
            store,
            dialer,
            channels: Mutex::default(),
            clock,
            entropy,
        }
    }

    /// A connection to another manager. Connections are kept.
    pub fn channel(&self, member: Member) -> Channel {
        let mut channels = self.channels.lock();
        channels
            .entry(member)
            .or_insert_with(|| self.dialer.channel(&member))
            .clone()
    }

    /// A client of another manager's peer service.
    pub fn peer(&self, member: Member) -> PeerClient<Channel> {
        PeerClient::new(self.channel(member))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    async fn propose_command(&self, changes: Vec<Change>) -> Result<u64, ProposeError> {
        // One id for all attempts: whichever reaches the log first counts, the others change nothing.
        let command = Command {
            id: CommandId::from_entropy(self.entropy.bits()),
            at: self.clock.timestamp(),
            changes,
        }
        .encode();
        let applied = self.until_done(|| self.try_propose(&command)).await?;
        let (index, result) = applied;
        let result = decode_result(&result)
            .map_err(|problem| ProposeError::NoLeader(format!("odd answer: {problem}")))?;
        self.store.wait_applied(index).await;
        Ok(result?)
    }

    async fn try_propose(&self, command: &[u8]) -> Attempt<(u64, Vec<u8>)> {
        let leader = match self.leader() {
            Leader::Me => {
                return match self.raft.propose(command.to_vec()).await {
                    Ok(applied) => Attempt::Done((applied.index, applied.response)),
                    Err(err @ RaftError::TooLarge { .. }) => {
                        Attempt::Never(ProposeError::TooLarge(err.to_string()))
                    }
                    Err(RaftError::Stopped | RaftError::Failed { .. }) => {
                        Attempt::Never(ProposeError::Stopping)
                    }
                    Err(err @ (RaftError::NotLeader { .. } | RaftError::Unknown { .. })) => {
                        Attempt::Again(err.to_string())
                    }
                };
            }
            Leader::Other(leader) => leader,
            Leader::Nobody => return Attempt::Again("no manager leads".to_owned()),
        };
        let request = wire::ProposeRequest {
            command: command.to_vec(),
        };
        let mut peer = self.peer(leader);
        match timeout(ATTEMPT, peer.propose(request)).await {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                Attempt::Done((answer.index, answer.result))
            }
            Ok(Err(status)) if status.code() == Code::ResourceExhausted => {
                Attempt::Never(ProposeError::TooLarge(status.message().to_owned()))
            }
            Ok(Err(status)) => Attempt::Again(said(leader, &status)),
            Err(_) => Attempt::Again(format!("{leader} does not answer")),
        }
    }

    async fn try_read_index(&self) -> Attempt<u64> {
        let leader = match self.leader() {
            Leader::Me => {
                return match self.raft.read_index().await {
                    Ok(index) => Attempt::Done(index),
                    Err(ReadError::Stopped { .. }) => Attempt::Never(ProposeError::Stopping),
                    Err(err @ (ReadError::NotLeader { .. } | ReadError::NoQuorum)) => {
                        Attempt::Again(err.to_string())
                    }
                };
            }
            Leader::Other(leader) => leader,
            Leader::Nobody => return Attempt::Again("no manager leads".to_owned()),
        };
        let mut peer = self.peer(leader);
        match timeout(ATTEMPT, peer.read_index(wire::ReadIndexRequest {})).await {
            Ok(Ok(answer)) => Attempt::Done(answer.into_inner().index),
            Ok(Err(status)) => Attempt::Again(said(leader, &status)),
            Err(_) => Attempt::Again(format!("{leader} does not answer")),
        }
    }

    async fn until_done<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, ProposeError>
    where
        F: Future<Output = Attempt<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::from("no manager leads");
        while Instant::now() < deadline {
            match timeout_at(deadline, attempt()).await {
                Ok(Attempt::Done(value)) => return Ok(value),
                Ok(Attempt::Never(err)) => return Err(err),
                Ok(Attempt::Again(why)) => last = why,
                Err(_) => break,
            }
            // A change of leader ends the pause early.
            let mut status = self.raft.status();
            let before = status.borrow_and_update().leader;
            drop(timeout(PAUSE, status.wait_for(|now| now.leader != before)).await);
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

/// Room for the largest command and its envelope.
const MAX_MESSAGE: usize = 8 << 20;

enum Leader {
    Me,
    Other(Member),
    Nobody,
}

fn said(leader: Member, status: &Status) -> String {
    let why = weft_pki::explain(status).unwrap_or_else(|| status.message().to_owned());
    format!("{leader}: {why}")
}

impl Proposer for ClusterProposer {
    fn propose(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<u64, ProposeError>> {
        Box::pin(self.propose_command(changes))
    }

    fn fresh_view(&self) -> BoxFuture<'_, Result<View, ProposeError>> {
        Box::pin(async {
            let index = self.until_done(|| self.try_read_index()).await?;
            let waited = timeout(PATIENCE, self.store.wait_applied(index)).await;
            waited.map_err(|_| {
                ProposeError::NoLeader(format!("this manager has not caught up to entry {index}"))
            })
        })
    }
}

/// Used by the peer service: a proposal that another manager sent here because this one leads.
pub(crate) async fn propose_here(
    raft: &RaftNode,
    command: Vec<u8>,
) -> Result<wire::ProposeResponse, Status> {
    match raft.propose(command).await {
        Ok(applied) => Ok(wire::ProposeResponse {
            index: applied.index,
            result: applied.response,
        }),
        Err(err @ RaftError::TooLarge { .. }) => Err(Status::resource_exhausted(err.to_string())),
        Err(err) => {
            // Spares the caller's next attempt some milliseconds when an election is under way.
            sleep(Duration::from_millis(10)).await;
            Err(Status::unavailable(err.to_string()))
        }
    }
}
