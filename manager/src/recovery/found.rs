//! A log directory that begins with a state.

use crate::consensus::settings;
use crate::recovery::TakenOver;
use crate::vault::Vault;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_raft::Member;
use weft_raft::RaftId;
use weft_raft::found_with_state;

/// A directory that was not made.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// The log.
    #[error("the new log in {dir} cannot be written")]
    Log {
        /// Where.
        dir: PathBuf,
        /// Why.
        #[source]
        source: Box<weft_raft::StartError>,
    },
    /// The key of the log.
    #[error("the log in {dir} stays closed")]
    Key {
        /// Where.
        dir: PathBuf,
        /// Why.
        #[source]
        source: weft_raft::KeyFileError,
    },
    /// The disk's thread.
    #[error("the disk's thread ended")]
    Thread(#[from] tokio::task::JoinError),
}

/// Makes in `dir`, which must not exist, the log of manager `node` at `addr` that begins with this
/// state. What a crash leaves half made must be removed before another try.
///
/// # Errors
/// The disk.
pub async fn found(
    taken: &TakenOver,
    node: NodeId,
    addr: SocketAddr,
    dir: &Path,
    vault: &Arc<Vault>,
) -> Result<(), FoundError> {
    let me = Member {
        raft_id: RaftId(taken.raft_id),
        node_id: node,
        addr,
    };
    let config = settings(me, taken.cluster.id, dir, vault).map_err(|source| FoundError::Key {
        dir: dir.to_owned(),
        source,
    })?;
    let (index, state) = (taken.snapshot.revision, taken.snapshot.encode());
    let made = tokio::task::spawn_blocking(move || found_with_state(&config, index, &state));
    made.await?.map_err(|source| FoundError::Log {
        dir: dir.to_owned(),
        source: Box::new(source),
    })
}
