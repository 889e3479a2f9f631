//! Sending a whole snapshot: a head, then chunks, over a connection of its own.

use super::Client;
use super::broken;
use super::rpc_error;
use super::unreachable;
use crate::convert::vote_from_wire;
use crate::convert::vote_to_wire;
use crate::peers::Purpose;
use crate::snapshot::head;
use crate::types::Snapshot;
use crate::types::TypeConfig;
use crate::types::Vote;
use bytes::Bytes;
use futures::Stream;
use futures::stream;
use openraft::OptionalSend;
use openraft::errors::ReplicationClosed;
use openraft::errors::StreamingError;
use openraft::network::NetSnapshot;
use openraft::network::RPCOption;
use openraft::raft::SnapshotResponse;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use weft_proto::wire;
use wire::raft_snapshot_part::Part;

/// One chunk. Small against HTTP/2's windows, large against their bookkeeping.
const CHUNK_BYTES: usize = 256 * 1024;

/// A transfer that moves no chunk for this long is broken off; openraft starts another.
const STALLED: Duration = Duration::from_secs(10);

/// How long the receiver may take to store and restore the whole, after the last chunk.
const INSTALLING: Duration = Duration::from_secs(60);

impl NetSnapshot<TypeConfig> for Client {
    type SnapshotData = Bytes;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut rpc = self.connect(Purpose::Bulk)?;
        let head = wire::RaftSnapshotHead {
            header: Some(self.peers.header(self.target)),
            vote: Some(vote_to_wire(&vote)),
            ..head(&snapshot.meta, &snapshot.snapshot)
        };
        let (progress, seen) = watch::channel(Progress::default());
        let call = rpc.install_snapshot(parts(head, snapshot.snapshot, progress));
        let result = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            () = stalled(seen) => Err(unreachable("the transfer of a snapshot stalled")),
            reply = call => reply.map_err(|status| rpc_error(&status)),
        };
        self.report(Purpose::Bulk, result.is_ok());
        let vote = result?
            .into_inner()
            .vote
            .ok_or_else(|| broken("a reply without vote"))?;
        Ok(SnapshotResponse::new(vote_from_wire(vote)))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    chunks: u64,
    complete: bool,
}

/// The messages of one transfer. `progress` counts those the connection has taken.
fn parts(
    head: wire::RaftSnapshotHead,
    data: Bytes,
    progress: watch::Sender<Progress>,
) -> impl Stream<Item = wire::RaftSnapshotPart> + Send + 'static {
    let start = (Some(head), data, progress);
    stream::unfold(start, |(head, mut data, progress)| async move {
        progress.send_modify(|p| p.chunks += 1);
        let part = match head {
            Some(head) => Part::Head(head),
            None if data.is_empty() => {
                progress.send_modify(|p| p.complete = true);
                return None;
            }
            None => Part::Chunk(data.split_to(data.len().min(CHUNK_BYTES))),
        };
        let part = wire::RaftSnapshotPart { part: Some(part) };
        Some((part, (None, data, progress)))
    })
}

/// Resolves when the transfer has made no progress for too long.
async fn stalled(mut progress: watch::Receiver<Progress>) {
    loop {
        let complete = progress.borrow_and_update().complete;
        let patience = if complete { INSTALLING } else { STALLED };
        match timeout(patience, progress.changed()).await {
            Ok(Ok(())) => {}
            // All parts are on their way and their stream is gone.
            Ok(Err(_)) => {
                tokio::time::sleep(INSTALLING).await;
                return;
            }
            Err(_) => return,
        }
    }
}
