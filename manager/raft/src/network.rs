//! The calls this member makes to others.

use crate::config::MESSAGE_BYTES;
use crate::convert::entry_to_wire;
use crate::convert::log_id_from_wire;
use crate::convert::log_id_to_wire;
use crate::convert::vote_from_wire;
use crate::convert::vote_to_wire;
use crate::member::RaftId;
use crate::peers::Peers;
use crate::peers::Purpose;
use crate::types::Peer;
use crate::types::RpcError;
use crate::types::TypeConfig;
use futures::Stream;
use openraft::OptionalSend;
use openraft::RaftNetworkFactory;
use openraft::errors::NetworkError;
use openraft::errors::Unreachable;
use openraft::network::Backoff;
use openraft::network::NetBackoff;
use openraft::network::NetStreamAppend;
use openraft::network::NetTransferLeader;
use openraft::network::NetVote;
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::StreamAppendResult;
use openraft::raft::TransferLeaderError;
use openraft::raft::TransferLeaderRequest;
use openraft::raft::TransferLeaderResponse;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use openraft_rt::BoxFuture;
use openraft_rt::BoxStream;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use tonic::transport::Channel;
use weft_proto::wire;
use wire::raft_client::RaftClient;
use wire::raft_transfer_reply::Refusal;

mod append;
mod beat;
mod install;

/// Makes clients. Cheap: openraft asks for one per peer and vote, so connections are pooled.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
}

impl Network {
    fn client(&self, target: RaftId, peer: Peer, purpose: Purpose) -> Client {
        self.peers.learn([&peer.member(target)]);
        Client {
            peers: Arc::clone(&self.peers),
            target,
            purpose,
            beat: None,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: RaftId, peer: &Peer) -> Client {
        self.client(target, *peer, Purpose::Entries)
    }

    async fn new_heartbeat_client(&mut self, target: RaftId, peer: &Peer) -> Client {
        self.client(target, *peer, Purpose::Control)
    }

    async fn new_snapshot_client(&mut self, target: RaftId, peer: &Peer) -> Client {
        self.client(target, *peer, Purpose::Bulk)
    }
}

/// Calls to one peer.
#[derive(Debug)]
pub(crate) struct Client {
    peers: Arc<Peers>,
    target: RaftId,
    /// Of appends; everything else has a fixed one.
    purpose: Purpose,
    /// The stream of heartbeats, between two of them.
    beat: Option<beat::Beat>,
}

impl Client {
    fn connect(&self, purpose: Purpose) -> Result<RaftClient<Channel>, RpcError> {
        let channel = self
            .peers
            .channel(self.target, purpose)
            .ok_or_else(|| unreachable("its address is not known"))?;
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES))
    }

    fn report(&self, purpose: Purpose, ok: bool) {
        self.peers.report(self.target, purpose, ok, Instant::now());
    }

    /// One call and one reply, within `limit`.
    async fn unary<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, RpcError> {
        let result = match timeout(limit, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(rpc_error(&status)),
            Err(_) => Err(unreachable(format!("no answer within {limit:?}"))),
        };
        self.report(Purpose::Control, result.is_ok());
        result
    }

    fn vote_request(&self, rpc: &VoteRequest<TypeConfig>) -> wire::RaftVoteRequest {
        wire::RaftVoteRequest {
            header: Some(self.peers.header(self.target)),
            vote: Some(vote_to_wire(&rpc.vote)),
            last_log_id: rpc.last_log_id.as_ref().map(log_id_to_wire),
            leadership_transfer: rpc.leadership_transfer,
        }
    }
}

impl NetVote<TypeConfig> for Client {
    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.connect(Purpose::Control)?;
        let request = self.vote_request(&rpc);
        let reply = self.unary(option.soft_ttl(), client.vote(request)).await?;
        vote_reply(reply)
    }

    /// openraft's default grants without asking anyone.
    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.connect(Purpose::Control)?;
        let request = self.vote_request(&rpc);
        let reply = self
            .unary(option.soft_ttl(), client.pre_vote(request))
            .await?;
        vote_reply(reply)
    }
}

fn vote_reply(reply: wire::RaftVoteReply) -> Result<VoteResponse<TypeConfig>, RpcError> {
    let vote = reply.vote.ok_or_else(|| broken("a reply without vote"))?;
    Ok(VoteResponse {
        vote: vote_from_wire(vote),
        vote_granted: reply.granted,
        last_log_id: reply.last_log_id.map(log_id_from_wire),
    })
}

impl NetTransferLeader<TypeConfig> for Client {
    /// openraft's default reaches nobody.
    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let mut client = self.connect(Purpose::Control)?;
        let request = wire::RaftTransferRequest {
            header: Some(self.peers.header(self.target)),
            from_leader: Some(vote_to_wire(req.from_leader())),
            to: req.to_node_id().0,
            last_log_id: req.last_log_id().map(log_id_to_wire),
        };
        let reply = self
            .unary(option.soft_ttl(), client.transfer_leader(request))
            .await?;
        let required = |vote: Option<wire::RaftVote>| {
            vote.map(vote_from_wire)
                .ok_or_else(|| broken("a refusal without votes"))
        };
        Ok(match reply.refusal {
            None => Ok(()),
            Some(Refusal::VoteChanged(votes)) => Err(TransferLeaderError::VoteChanged {
                expected: required(votes.expected)?,
                actual: required(votes.actual)?,
            }),
            Some(Refusal::LogNotFlushed(logs)) => Err(TransferLeaderError::LogNotFlushed {
                expected: logs.expected.map(log_id_from_wire),
                actual: logs.actual.map(log_id_from_wire),
            }),
        })
    }
}

impl NetStreamAppend<TypeConfig> for Client {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        // Heartbeats and replication come with different streams; one entrance serves both.
        let input: append::Input = Box::pin(input);
        Box::pin(append::run(self, input, option))
    }
}

impl NetBackoff<TypeConfig> for Client {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

fn append_request(
    header: Option<wire::RaftHeader>,
    rpc: &AppendEntriesRequest<TypeConfig>,
) -> wire::RaftAppendRequest {
    wire::RaftAppendRequest {
        header,
        vote: Some(vote_to_wire(&rpc.vote)),
        prev_log_id: rpc.prev_log_id.as_ref().map(log_id_to_wire),
        entries: rpc.entries.iter().map(entry_to_wire).collect(),
        leader_commit: rpc.leader_commit.as_ref().map(log_id_to_wire),
    }
}

/// openraft backs off from what is unreachable and retries a broken network at once, so only a
/// connection that worked and broke counts as the latter.
fn rpc_error(status: &Status) -> RpcError {
    match status.code() {
        Code::Internal | Code::Unknown | Code::Cancelled | Code::Aborted => broken(status),
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => unreachable(status),
    }
}

fn unreachable(reason: impl ToString) -> RpcError {
    RpcError::Unreachable(Unreachable::from_string(reason))
}

fn broken(reason: impl ToString) -> RpcError {
    RpcError::Network(NetworkError::from_string(reason))
}
