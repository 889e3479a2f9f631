use super::*;
use crate::convert::vote_from_wire;
use crate::gate::Gate;
use crate::member::Member;
use crate::member::RaftId;
use crate::peers::Dialer;
use crate::peers::Peers;
use crate::status::RaftStatus;
use crate::types::TypeConfig;
use openraft::raft::AppendEntriesRequest;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use wire::raft_append_reply::Outcome;
use wire::raft_server;
use wire::raft_server::RaftServer;

const PATIENCE: Duration = Duration::from_secs(20);

/// In this term a follower has nothing at the index of the same number.
const LOST: u64 = 99;

/// Answers with the term it was asked in, `each` times per stream; then the stream ends.
#[derive(Clone)]
struct Follower {
    streams: Arc<AtomicUsize>,
    each: usize,
    mute: bool,
}

fn answer(term: u64) -> wire::RaftAppendReply {
    let log_id = wire::RaftLogId {
        term,
        node: 1,
        index: term,
    };
    let outcome = match term {
        LOST => Outcome::Conflict(log_id),
        _ => Outcome::Matched(wire::RaftMatched {
            log_id: Some(log_id),
        }),
    };
    wire::RaftAppendReply {
        outcome: Some(outcome),
    }
}

#[tonic::async_trait]
impl raft_server::Raft for Follower {
    type AppendStream = BoxStream<'static, Result<wire::RaftAppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::RaftAppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        self.streams.fetch_add(1, Ordering::SeqCst);
        let mute = self.mute;
        let answers = request.into_inner().enumerate().map(move |(at, request)| {
            let request = request?;
            assert_eq!(
                request.header.is_some(),
                at == 0,
                "the first one says whose"
            );
            Ok(answer(request.vote.unwrap_or_default().term))
        });
        let answers = answers.filter(move |_| std::future::ready(!mute));
        Ok(Response::new(Box::pin(answers.take(self.each))))
    }

    async fn vote(
        &self,
        _: Request<wire::RaftVoteRequest>,
    ) -> Result<Response<wire::RaftVoteReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn pre_vote(
        &self,
        _: Request<wire::RaftVoteRequest>,
    ) -> Result<Response<wire::RaftVoteReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn install_snapshot(
        &self,
        _: Request<Streaming<wire::RaftSnapshotPart>>,
    ) -> Result<Response<wire::RaftSnapshotReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn transfer_leader(
        &self,
        _: Request<wire::RaftTransferRequest>,
    ) -> Result<Response<wire::RaftTransferReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct Dial;

impl Dialer for Dial {
    fn channel(&self, member: &Member) -> Channel {
        let uri = format!("http://{}", member.addr);
        Endpoint::from_shared(uri).unwrap().connect_lazy()
    }
}

fn member(number: u64, addr: SocketAddr) -> Member {
    Member {
        raft_id: RaftId(number),
        node_id: NodeId::from_entropy(number.into()),
        addr,
    }
}

/// A leader's client of a follower, and how many streams that one has seen.
async fn client(each: usize, mute: bool) -> (Client, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let follower = Follower {
        streams: Arc::clone(&streams),
        each,
        mute,
    };
    let serving = Server::builder()
        .add_service(RaftServer::new(follower))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    let me = member(1, addr);
    let (_, status) = watch::channel(RaftStatus::initial(me, PATIENCE));
    let cluster = ClusterId::from_entropy(1);
    let peers = Peers::new(
        me.raft_id,
        cluster,
        Arc::new(Dial),
        Gate::new(status),
        PATIENCE,
    );
    peers.learn([&member(2, addr)]);
    let client = Client {
        peers: Arc::new(peers),
        target: RaftId(2),
        purpose: Purpose::Control,
        beat: None,
    };
    (client, streams)
}

fn office(term: u64) -> Vote {
    vote_from_wire(wire::RaftVote {
        term,
        node: 1,
        committed: true,
    })
}

/// Sends a heartbeat of a term; the reply.
async fn reply(client: &mut Client, term: u64, patience: Duration) -> Reply {
    let request: AppendEntriesRequest<TypeConfig> = AppendEntriesRequest {
        vote: office(term),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let input: Input = Box::pin(stream::iter([request]));
    let replies = run(client, input, patience).await?;
    let replies: Vec<Reply> = replies.collect().await;
    assert_eq!(replies.len(), 1);
    replies.into_iter().next().unwrap()
}

/// Sends a heartbeat of a term; the term of the reply.
async fn beat(client: &mut Client, term: u64, patience: Duration) -> Result<u64, RpcError> {
    let matched = reply(client, term, patience).await?.unwrap();
    Ok(matched.unwrap().leader_id.term)
}

#[tokio::test]
async fn heartbeats_share_a_stream_and_each_has_its_own_reply() {
    let (mut client, streams) = client(usize::MAX, false).await;
    for term in 1..=20 {
        assert_eq!(beat(&mut client, term, PATIENCE).await.unwrap(), term);
    }
    assert_eq!(streams.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stream_that_ended_is_followed_by_another_within_the_same_heartbeat() {
    let (mut client, streams) = client(3, false).await;
    for term in 1..=9 {
        assert_eq!(beat(&mut client, term, PATIENCE).await.unwrap(), term);
    }
    assert_eq!(streams.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_unanswered_heartbeat_leaves_no_stream_behind() {
    let (mut client, streams) = client(usize::MAX, true).await;
    for term in 1..=2 {
        let soon = Duration::from_millis(200);
        assert!(beat(&mut client, term, soon).await.is_err());
        assert!(client.beat.is_none());
    }
    // The call itself may be late on a busy machine.
    assert!(streams.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_follower_that_lost_what_it_acknowledged_is_no_answer_for_the_engine() {
    let (mut client, _) = client(usize::MAX, false).await;
    let behind = reply(&mut client, LOST, PATIENCE).await;
    assert!(matches!(behind, Ok(Err(_))), "it was never further");
    let known = Arc::clone(&client.peers);
    known.acknowledged.note(RaftId(2), office(LOST), LOST);
    assert!(reply(&mut client, LOST, PATIENCE).await.is_err());
}
