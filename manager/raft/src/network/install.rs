//! Sending a whole snapshot: a head, then chunks, over a connection of its own.

use super::Client;
use super::broken;
use super::rpc_error;
use super::unreachable;
use crate::convert::meta_to_wire;
use crate::convert::vote_from_wire;
use crate::convert::vote_to_wire;
use crate::peers::Purpose;
use crate::snapshot::SnapshotFile;
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
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use weft_proto::wire;
use wire::raft_snapshot_part::Part;

/// Pieces of the file that are read ahead of the connection.
const READ_AHEAD: usize = 2;

/// A transfer that moves no chunk for this long is broken off; openraft starts another.
const STALLED: Duration = Duration::from_secs(10);

/// How long the receiver may take to store and restore the whole, after the last chunk.
const INSTALLING: Duration = Duration::from_secs(60);

impl NetSnapshot<TypeConfig> for Client {
    type SnapshotData = SnapshotFile;

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
            meta: Some(meta_to_wire(&snapshot.meta)),
            size: snapshot.snapshot.size,
            checksum: snapshot.snapshot.checksum,
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
    file: SnapshotFile,
    progress: watch::Sender<Progress>,
) -> impl Stream<Item = wire::RaftSnapshotPart> + Send + 'static {
    let start = (Some(head), read_ahead(file), progress);
    stream::unfold(start, |(head, mut pieces, progress)| async move {
        progress.send_modify(|p| p.chunks += 1);
        let part = match head {
            Some(head) => Part::Head(head),
            None => match pieces.recv().await {
                Some(piece) => Part::Chunk(piece),
                None => {
                    progress.send_modify(|p| p.complete = true);
                    return None;
                }
            },
        };
        let part = wire::RaftSnapshotPart { part: Some(part) };
        Some((part, (None, pieces, progress)))
    })
}

/// The pieces of a snapshot, read where reading may block. If the file is damaged they end too
/// early, which the receiver notices.
fn read_ahead(file: SnapshotFile) -> mpsc::Receiver<Bytes> {
    let (sender, pieces) = mpsc::channel(READ_AHEAD);
    spawn_blocking(move || {
        let mut reader = file.reader();
        loop {
            match reader.next_piece().map_err(std::io::Error::from) {
                Ok(Some(piece)) => {
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the snapshot cannot be read; the next one replaces it");
                    return;
                }
            }
        }
    });
    pieces
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
