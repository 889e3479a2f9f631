//! Append messages over one bidirectional stream: requests go out without waiting for replies.

use super::Client;
use super::append_request;
use super::beat;
use super::broken;
use super::rpc_error;
use super::unreachable;
use crate::convert::log_id_from_wire;
use crate::convert::vote_from_wire;
use crate::peers::Peers;
use crate::peers::Purpose;
use crate::types::RpcError;
use crate::types::TypeConfig;
use crate::types::Vote;
use futures::Stream;
use futures::StreamExt;
use futures::stream;
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::StreamAppendError;
use openraft::raft::StreamAppendResult;
use openraft_rt::BoxStream;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tonic::Streaming;
use weft_proto::wire;
use wire::raft_append_reply::Outcome;

pub(super) type Input = BoxStream<'static, AppendEntriesRequest<TypeConfig>>;
pub(super) type Reply = Result<StreamAppendResult<TypeConfig>, RpcError>;

/// The wait after a stream that did not begin. openraft's own backoff delays the requests of a
/// stream, and those are asked for only once it began: without this it would try again at once,
/// for as long as the peer is away, with all that a processor can do.
const RETRY: Duration = Duration::from_millis(20);

pub(super) async fn run(
    client: &mut Client,
    input: Input,
    option: RPCOption,
) -> Result<BoxStream<'_, Reply>, RpcError> {
    match client.purpose {
        // openraft drops a heartbeat after its time to live; ours must end before, or nobody would
        // notice that the connection is dead.
        Purpose::Control => {
            pass_gate(client)?;
            beat::run(client, input, option.soft_ttl()).await
        }
        // Entries wait for the follower's disk; resending them early makes a slow disk slower.
        Purpose::Entries | Purpose::Bulk => {
            let patience = client.peers.patience.max(option.hard_ttl());
            let begun = begin(client, input, patience).await;
            if begun.is_err() {
                sleep(RETRY).await;
            }
            begun
        }
    }
}

fn pass_gate(client: &Client) -> Result<(), RpcError> {
    if client.peers.gate.is_open(Instant::now()) {
        return Ok(());
    }
    Err(unreachable("held back: no majority answers this leader"))
}

async fn begin(
    client: &mut Client,
    input: Input,
    patience: Duration,
) -> Result<BoxStream<'_, Reply>, RpcError> {
    pass_gate(client)?;
    let purpose = client.purpose;
    let mut rpc = client.connect(purpose)?;
    let pace = Arc::new(Pace::default());
    let requests = outbound(input, client, Arc::clone(&pace));
    let opened = match timeout(patience, rpc.append(requests)).await {
        Ok(Ok(replies)) => Ok(replies.into_inner()),
        Ok(Err(status)) => Err(rpc_error(&status)),
        Err(_) => Err(unreachable(format!("no stream within {patience:?}"))),
    };
    if opened.is_err() {
        client.report(purpose, false);
    }
    let replies = Replies {
        client,
        replies: opened?,
        pace,
        patience,
    };
    Ok(Box::pin(stream::unfold(Some(replies), Replies::step)))
}

/// Requests sent and not yet answered.
#[derive(Default)]
struct Pace(Mutex<Unanswered>);

#[derive(Default)]
struct Unanswered {
    count: u64,
    /// When the oldest was sent, or the last reply came, whichever is later.
    since: Option<Instant>,
    /// In which office; one for all requests of a stream.
    office: Option<Vote>,
}

impl Pace {
    fn sent(&self, now: Instant, office: Vote) {
        let mut pace = self.0.lock();
        pace.office = Some(office);
        pace.count += 1;
        pace.since.get_or_insert(now);
    }

    fn answered(&self, now: Instant) {
        let mut pace = self.0.lock();
        pace.count = pace.count.saturating_sub(1);
        pace.since = (pace.count > 0).then_some(now);
    }

    /// How much longer a reply may take. Without anything unanswered, all of `patience`.
    fn left(&self, patience: Duration, now: Instant) -> Duration {
        let waited = |since| now.saturating_duration_since(since);
        patience.saturating_sub(self.0.lock().since.map_or(Duration::ZERO, waited))
    }
}

/// The requests as they go on the wire. Ends when the gate closes: the peer answers what it has,
/// and the next stream is refused.
fn outbound(
    input: Input,
    client: &Client,
    pace: Arc<Pace>,
) -> impl Stream<Item = wire::RaftAppendRequest> + Send + 'static {
    let peers: Arc<Peers> = Arc::clone(&client.peers);
    let target = client.target;
    let mut header = Some(peers.header(target));
    input
        .take_while({
            let peers = Arc::clone(&peers);
            move |_| std::future::ready(peers.gate.is_open(Instant::now()))
        })
        .map(move |rpc| {
            pace.sent(Instant::now(), rpc.vote);
            if let Some(header) = &mut header {
                header.acknowledged = peers.acknowledged.by(target, rpc.vote);
            }
            append_request(header.take(), &rpc)
        })
}

struct Replies<'s> {
    client: &'s mut Client,
    replies: Streaming<wire::RaftAppendReply>,
    pace: Arc<Pace>,
    patience: Duration,
}

impl<'s> Replies<'s> {
    /// The next reply; the stream ends after an error and after a refusal.
    async fn step(state: Option<Replies<'s>>) -> Option<(Reply, Option<Replies<'s>>)> {
        let mut this = state?;
        let reply = loop {
            let left = this.pace.left(this.patience, Instant::now());
            if left.is_zero() {
                let patience = this.patience;
                break Err(unreachable(format!("no reply within {patience:?}")));
            }
            match timeout(left, this.replies.next()).await {
                Ok(Some(Ok(reply))) => break decode(reply),
                Ok(Some(Err(status))) => break Err(rpc_error(&status)),
                Ok(None) => return None,
                // Either the stream is idle, or `left` will be zero now.
                Err(_) => {}
            }
        };
        this.pace.answered(Instant::now());
        let office = this.pace.0.lock().office;
        let reply = match office {
            Some(office) => this.client.judge(office, reply),
            None => reply,
        };
        this.client.report(this.client.purpose, reply.is_ok());
        let goes_on = matches!(reply, Ok(Ok(_)));
        Some((reply, goes_on.then_some(this)))
    }
}

impl Client {
    /// Remembers what was acknowledged, and stops at a follower that does not: the engine takes it for
    /// impossible that a log goes back.
    pub(super) fn judge(&self, office: Vote, reply: Reply) -> Reply {
        let (target, known) = (self.target, &self.peers.acknowledged);
        match &reply {
            Ok(Ok(Some(matched))) if self.purpose == Purpose::Entries => {
                known.note(target, office, matched.index);
            }
            Ok(Err(StreamAppendError::Conflict(at)))
                if known
                    .by(target, office)
                    .is_some_and(|last| at.index <= last) =>
            {
                tracing::error!(
                    %target, missing = at.index,
                    "a follower's disk went back to an earlier state: it is told so, and stops"
                );
                return Err(unreachable("its log went back"));
            }
            Ok(Ok(_) | Err(_)) | Err(_) => {}
        }
        reply
    }
}

pub(super) fn decode(reply: wire::RaftAppendReply) -> Reply {
    match reply.outcome {
        Some(Outcome::Matched(matched)) => Ok(Ok(matched.log_id.map(log_id_from_wire))),
        Some(Outcome::Conflict(log_id)) => {
            Ok(Err(StreamAppendError::Conflict(log_id_from_wire(log_id))))
        }
        Some(Outcome::HigherVote(vote)) => {
            Ok(Err(StreamAppendError::HigherVote(vote_from_wire(vote))))
        }
        None => Err(broken("a reply without outcome")),
    }
}
