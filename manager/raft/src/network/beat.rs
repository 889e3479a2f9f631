//! Heartbeats: one request, one reply, over a stream that stays open between them.
//!
//! Every linearizable read waits for a heartbeat's reply, and a stream of its own would cost more
//! than the message: a call's headers, its authorization and a task on the other side. A stream is
//! used again only after its last request was answered, so a reply is always that of the request
//! before it: a late one would confirm a leader that may have lost its office since.

use super::Client;
use super::append::Input;
use super::append::Reply;
use super::append::decode;
use super::append_request;
use super::broken;
use super::rpc_error;
use super::unreachable;
use crate::peers::Purpose;
use crate::types::RpcError;
use crate::types::Vote;
use futures::StreamExt;
use futures::channel::mpsc::UnboundedSender;
use futures::channel::mpsc::unbounded;
use futures::stream;
use openraft_rt::BoxStream;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tonic::Streaming;
use weft_proto::wire;

/// An open stream on which every request was answered.
pub(super) struct Beat {
    /// Holds one request at most, since each is answered before the next.
    requests: UnboundedSender<wire::RaftAppendRequest>,
    replies: Streaming<wire::RaftAppendReply>,
}

impl fmt::Debug for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beat")
    }
}

/// Sends the one request of `input`, within `patience`, and gives its reply.
pub(super) async fn run(
    client: &mut Client,
    mut input: Input,
    patience: Duration,
) -> Result<BoxStream<'_, Reply>, RpcError> {
    let deadline = Instant::now() + patience;
    let Some(rpc) = input.next().await else {
        return Ok(Box::pin(stream::empty()));
    };
    let request = append_request(None, &rpc);
    // Taken out: whatever ends this call before the reply leaves no stream behind.
    let open = client.beat.take();
    let exchanged = timeout_at(deadline, exchange(client, rpc.vote, open, request)).await;
    let exchanged = exchanged.unwrap_or_else(|_| {
        let late = format!("no reply within {patience:?}");
        Err(unreachable(late))
    });
    client.report(Purpose::Control, exchanged.is_ok());
    let (reply, beat) = exchanged?;
    let reply = client.judge(rpc.vote, decode(reply));
    // After a refusal the other side ends the stream.
    if matches!(reply, Ok(Ok(_))) {
        client.beat = Some(beat);
    }
    Ok(Box::pin(stream::iter([reply])))
}

type Exchanged = Result<(wire::RaftAppendReply, Beat), RpcError>;

async fn exchange(
    client: &Client,
    office: Vote,
    open: Option<Beat>,
    request: wire::RaftAppendRequest,
) -> Exchanged {
    if let Some(beat) = open
        && let Ok(answered) = beat.ask(request.clone()).await
    {
        return Ok(answered);
    }
    // There is none, or it broke, as when the other side was started again: that says nothing of a
    // new one.
    let (requests, waiting) = unbounded();
    let header = wire::RaftHeader {
        acknowledged: client.peers.acknowledged.by(client.target, office),
        ..client.peers.header(client.target)
    };
    let first = wire::RaftAppendRequest {
        header: Some(header),
        ..request
    };
    // It travels with the call that opens the stream, whose end is still here.
    drop(requests.unbounded_send(first));
    let mut rpc = client.connect(Purpose::Control)?;
    let replies = rpc.append(waiting).await;
    let replies = replies.map_err(|status| rpc_error(&status))?.into_inner();
    Beat { requests, replies }.reply().await
}

impl Beat {
    async fn ask(self, request: wire::RaftAppendRequest) -> Exchanged {
        let sent = self.requests.unbounded_send(request);
        sent.map_err(|_| broken("the stream of heartbeats ended"))?;
        self.reply().await
    }

    async fn reply(mut self) -> Exchanged {
        match self.replies.message().await {
            Ok(Some(reply)) => Ok((reply, self)),
            Ok(None) => Err(broken("the stream of heartbeats ended")),
            Err(status) => Err(rpc_error(&status)),
        }
    }
}

#[cfg(test)]
#[path = "beat_tests.rs"]
mod tests;
