//! The calls other members make to this one.

use crate::appends::Appends;
use crate::config::MESSAGE_BYTES;
use crate::convert::ConvertError;
use crate::convert::entry_from_wire;
use crate::convert::log_id_from_wire;
use crate::convert::log_id_to_wire;
use crate::convert::meta_from_wire;
use crate::convert::required;
use crate::convert::vote_from_wire;
use crate::convert::vote_to_wire;
use crate::error::Damage;
use crate::fault::Fault;
use crate::log_store::LogReader;
use crate::member::RaftId;
use crate::set_back;
use crate::set_back::has_forgotten;
use crate::snapshot::SnapshotFile;
use crate::snapshot::SnapshotStore;
use crate::succession::Broken;
use crate::types::Raft;
use crate::types::Snapshot;
use crate::types::SnapshotMeta;
use crate::types::TypeConfig;
use bytes::Bytes;
use futures::Stream;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::StreamAppendError;
use openraft::raft::StreamAppendResult;
use openraft::raft::TransferLeaderError;
use openraft::raft::TransferLeaderRequest;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use openraft_rt::BoxStream;
use std::fmt;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use weft_proto::ClusterId;
use weft_proto::wire;
use wire::raft_append_reply::Outcome;
use wire::raft_server;
use wire::raft_server::RaftServer;
use wire::raft_snapshot_part::Part;
use wire::raft_transfer_reply::Refusal;

/// The largest snapshot a member takes, in bytes: far more than a cluster's state can be, and
/// what a confused sender may at most fill a disk with.
const MAX_SNAPSHOT: u64 = 16 << 30;

/// Chunks that may wait for the disk.
const WRITE_BEHIND: usize = 2;

/// A sender that sends nothing for this long is given up, so that another transfer can begin.
const STALLED: Duration = Duration::from_secs(20);

/// The Raft service of one member. Trusts its caller to let only managers in; checks itself
/// that a call is meant for this member of this cluster.
#[derive(Clone)]
pub struct RaftService {
    serving: Arc<Serving>,
}

struct Serving {
    raft: Raft,
    me: RaftId,
    cluster: ClusterId,
    snapshots: Arc<SnapshotStore>,
    /// One snapshot at a time: each needs room on the disk.
    installing: Semaphore,
    /// Told when a stream of appends breaks.
    broken: Arc<watch::Sender<Option<Broken>>>,
    disk: OwnDisk,
}

/// What a member knows of its own disk.
pub(crate) struct OwnDisk {
    pub(crate) log: LogReader,
    pub(crate) snapshots: Arc<SnapshotStore>,
    pub(crate) dir: PathBuf,
    pub(crate) fault: Fault,
}

impl OwnDisk {
    /// Ends this member for good if it has forgotten what the leader knows that it acknowledged.
    fn check(
        &self,
        office: Option<&wire::RaftVote>,
        acknowledged: Option<u64>,
    ) -> Result<(), Status> {
        let Some(office) = office.copied().map(vote_from_wire) else {
            return Ok(());
        };
        let (vote, last) = self.log.end();
        let in_snapshot = self.snapshots.current().and_then(|it| it.meta.last_log_id);
        if !has_forgotten(vote, last.max(in_snapshot), office, acknowledged) {
            return Ok(());
        }
        let what = Damage::SetBack.to_string();
        if let Err(error) = set_back::mark(&self.dir) {
            tracing::error!(%error, "the directory could not be marked as of no use");
        }
        self.fault.report(what.clone());
        Err(Status::data_loss(what))
    }
}

impl fmt::Debug for RaftService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftService")
            .field("me", &self.serving.me)
            .field("cluster", &self.serving.cluster)
            .finish_non_exhaustive()
    }
}

impl RaftService {
    pub(crate) fn server(
        raft: Raft,
        me: RaftId,
        cluster: ClusterId,
        snapshots: Arc<SnapshotStore>,
        broken: Arc<watch::Sender<Option<Broken>>>,
        disk: OwnDisk,
    ) -> RaftServer<RaftService> {
        let serving = Serving {
            raft,
            me,
            cluster,
            snapshots,
            installing: Semaphore::new(1),
            broken,
            disk,
        };
        RaftServer::new(RaftService {
            serving: Arc::new(serving),
        })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
    }
}

impl Serving {
    /// Refuses calls that are not for this member of this cluster. Mixing the logs of two
    /// clusters destroys both.
    fn check(&self, header: Option<wire::RaftHeader>) -> Result<(), Status> {
        let header = required("header", header).map_err(invalid)?;
        if header.cluster != self.cluster.as_str() {
            tracing::warn!(theirs = %header.cluster, from = header.from, "refused a call from another cluster");
            return Err(Status::failed_precondition(format!(
                "this is cluster {}, not {}",
                self.cluster, header.cluster
            )));
        }
        if header.to != self.me.0 {
            return Err(Status::failed_precondition(format!(
                "this is member {}, not {}",
                self.me, header.to
            )));
        }
        Ok(())
    }

    fn vote_request(
        &self,
        request: wire::RaftVoteRequest,
    ) -> Result<VoteRequest<TypeConfig>, Status> {
        self.check(request.header)?;
        let vote = required("vote", request.vote).map_err(invalid)?;
        Ok(VoteRequest {
            vote: vote_from_wire(vote),
            last_log_id: request.last_log_id.map(log_id_from_wire),
            leadership_transfer: request.leadership_transfer,
        })
    }

    /// Answers one stream of appends. The header comes with the first message, and a leader
    /// without news opens a stream long before it sends one.
    async fn answer(
        self: Arc<Self>,
        mut requests: Streaming<wire::RaftAppendRequest>,
    ) -> Result<impl Stream<Item = Result<wire::RaftAppendReply, Status>>, Status> {
        let first = requests.message().await?;
        let mut first = required("first message", first).map_err(invalid)?;
        let header = first.header.take();
        let from = header.as_ref().map(|header| RaftId(header.from));
        let acknowledged = header.as_ref().and_then(|header| header.acknowledged);
        self.check(header)?;
        self.disk.check(first.vote.as_ref(), acknowledged)?;
        let input = Appends::new(first, requests, from, Arc::clone(&self.broken)).stream();
        // Boxed for its type alone: as openraft declares it, it would borrow `self`.
        let replies: BoxStream<'static, _> = Box::pin(self.raft.stream_append(input));
        Ok(replies.map(|reply| reply.map(append_reply).map_err(stopped)))
    }
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    type AppendStream = BoxStream<'static, Result<wire::RaftAppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::RaftAppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let serving = Arc::clone(&self.serving);
        let replies = stream::once(serving.answer(request.into_inner())).try_flatten();
        Ok(Response::new(Box::pin(replies)))
    }

    async fn vote(
        &self,
        request: Request<wire::RaftVoteRequest>,
    ) -> Result<Response<wire::RaftVoteReply>, Status> {
        let rpc = self.serving.vote_request(request.into_inner())?;
        let reply = self.serving.raft.vote(rpc).await.map_err(stopped)?;
        Ok(Response::new(vote_reply(&reply)))
    }

    async fn pre_vote(
        &self,
        request: Request<wire::RaftVoteRequest>,
    ) -> Result<Response<wire::RaftVoteReply>, Status> {
        let rpc = self.serving.vote_request(request.into_inner())?;
        let reply = self.serving.raft.pre_vote(rpc).await.map_err(stopped)?;
        Ok(Response::new(vote_reply(&reply)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<wire::RaftSnapshotPart>>,
    ) -> Result<Response<wire::RaftSnapshotReply>, Status> {
        let mut parts = request.into_inner();
        let Some(Part::Head(mut head)) = parts.message().await?.and_then(|p| p.part) else {
            return Err(Status::invalid_argument("a snapshot begins with its head"));
        };
        self.serving.check(head.header.take())?;
        let Ok(_permit) = self.serving.installing.try_acquire() else {
            return Err(Status::resource_exhausted(
                "another snapshot is being received",
            ));
        };
        let vote = required("head.vote", head.vote.take()).map_err(invalid)?;
        let snapshots = Arc::clone(&self.serving.snapshots);
        let snapshot = receive(snapshots, head, parts).await?;
        let installed = self
            .serving
            .raft
            .install_full_snapshot(vote_from_wire(vote), snapshot)
            .await
            .map_err(stopped)?;
        Ok(Response::new(wire::RaftSnapshotReply {
            vote: Some(vote_to_wire(&installed.vote)),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::RaftTransferRequest>,
    ) -> Result<Response<wire::RaftTransferReply>, Status> {
        let request = request.into_inner();
        self.serving.check(request.header)?;
        let from = required("from_leader", request.from_leader).map_err(invalid)?;
        let rpc = TransferLeaderRequest::new(
            vote_from_wire(from),
            RaftId(request.to),
            request.last_log_id.map(log_id_from_wire),
        );
        let outcome = self.serving.raft.handle_transfer_leader(rpc).await;
        let refusal = outcome.map_err(stopped)?.err().map(|e| refusal(&e));
        Ok(Response::new(wire::RaftTransferReply { refusal }))
    }
}

/// Writes the chunks of a snapshot to a file as they come, and checks that they are what the head
/// promised.
async fn receive(
    snapshots: Arc<SnapshotStore>,
    head: wire::RaftSnapshotHead,
    mut parts: Streaming<wire::RaftSnapshotPart>,
) -> Result<Snapshot, Status> {
    if head.size > MAX_SNAPSHOT {
        return Err(Status::invalid_argument(format!(
            "a snapshot of {} bytes is refused",
            head.size
        )));
    }
    let meta = required("head.meta", head.meta)
        .and_then(meta_from_wire)
        .map_err(invalid)?;
    let (sender, chunks) = mpsc::channel(WRITE_BEHIND);
    let (size, checksum) = (head.size, head.checksum);
    let writing = spawn_blocking(move || store(&snapshots, meta, size, checksum, chunks));
    loop {
        let part = timeout(STALLED, parts.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the transfer of a snapshot stalled"))?;
        let Some(part) = part? else {
            break;
        };
        let Some(Part::Chunk(chunk)) = part.part else {
            return Err(Status::invalid_argument("a second head in a snapshot"));
        };
        if sender.send(chunk).await.is_err() {
            // The writer has given up, and says why.
            break;
        }
    }
    drop(sender);
    let written = writing.await.map_err(stopped)?;
    let file = written.map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData {
            Status::data_loss(error.to_string())
        } else {
            Status::internal(format!("the snapshot cannot be stored: {error}"))
        }
    })?;
    Ok(Snapshot::from(file))
}

/// Stores a snapshot that arrives in chunks. Blocks on the disk and on the sender.
fn store(
    snapshots: &SnapshotStore,
    meta: SnapshotMeta,
    size: u64,
    checksum: u32,
    mut chunks: mpsc::Receiver<Bytes>,
) -> io::Result<SnapshotFile> {
    let mut writer = snapshots.begin(meta)?;
    while let Some(chunk) = chunks.blocking_recv() {
        writer.write_all(&chunk)?;
        if writer.size() > size {
            break;
        }
    }
    if writer.size() != size || writer.checksum() != checksum {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the snapshot arrived damaged",
        ));
    }
    writer.finish()
}

pub(crate) fn append_request(
    request: wire::RaftAppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, ConvertError> {
    let entries = request.entries.into_iter().map(entry_from_wire);
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(required("vote", request.vote)?),
        prev_log_id: request.prev_log_id.map(log_id_from_wire),
        entries: entries.collect::<Result<_, _>>()?,
        leader_commit: request.leader_commit.map(log_id_from_wire),
    })
}

fn append_reply(result: StreamAppendResult<TypeConfig>) -> wire::RaftAppendReply {
    let outcome = match result {
        Ok(matched) => Outcome::Matched(wire::RaftMatched {
            log_id: matched.as_ref().map(log_id_to_wire),
        }),
        Err(StreamAppendError::Conflict(log_id)) => Outcome::Conflict(log_id_to_wire(&log_id)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_to_wire(&vote)),
    };
    wire::RaftAppendReply {
        outcome: Some(outcome),
    }
}

fn vote_reply(reply: &VoteResponse<TypeConfig>) -> wire::RaftVoteReply {
    wire::RaftVoteReply {
        vote: Some(vote_to_wire(&reply.vote)),
        granted: reply.vote_granted,
        last_log_id: reply.last_log_id.as_ref().map(log_id_to_wire),
    }
}

fn refusal(error: &TransferLeaderError<TypeConfig>) -> Refusal {
    match error {
        TransferLeaderError::VoteChanged { expected, actual } => {
            Refusal::VoteChanged(wire::RaftVoteChanged {
                expected: Some(vote_to_wire(expected)),
                actual: Some(vote_to_wire(actual)),
            })
        }
        TransferLeaderError::LogNotFlushed { expected, actual } => {
            Refusal::LogNotFlushed(wire::RaftLogNotFlushed {
                expected: expected.as_ref().map(log_id_to_wire),
                actual: actual.as_ref().map(log_id_to_wire),
            })
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn invalid(error: ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl fmt::Display) -> Status {
    Status::unavailable(format!("this member has stopped: {error}"))
}
