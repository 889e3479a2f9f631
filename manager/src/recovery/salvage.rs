//! The state in the log of a manager that is stopped and alone.

use crate::consensus::StoreMachine;
use crate::consensus::settings;
use crate::store::Store;
use crate::store::View;
use crate::vault::Vault;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftId;
use weft_raft::RaftNode;
use weft_raft::force_new_cluster;

/// Longest time until a member that is alone has elected itself and applied its log: an election,
/// and ten thousand entries.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A log whose state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// The log.
    #[error("the log in {dir} cannot be used")]
    Log {
        /// Where.
        dir: PathBuf,
        /// Why.
        #[source]
        source: Box<weft_raft::StartError>,
    },
    /// The member did not come up alone.
    #[error("the log was opened, and its state was not complete within {0:?}")]
    NotReady(Duration),
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

/// A manager that is stopped.
#[derive(Clone, Copy, Debug)]
pub struct Survivor {
    /// Which node.
    pub node: NodeId,
    /// Of which cluster.
    pub cluster: ClusterId,
    /// Its identity in the log.
    pub raft_id: u64,
    /// Where it was reached.
    pub addr: SocketAddr,
}

/// Everything that the survivor's log in `dir` knows, entries that no majority acknowledged included.
/// The directory is changed and of no use afterwards: give it a copy.
///
/// # Errors
/// The log is damaged, or of another member.
pub async fn salvage(
    survivor: Survivor,
    dir: &Path,
    vault: &Arc<Vault>,
) -> Result<View, SalvageError> {
    let log = |source| SalvageError::Log {
        dir: dir.to_owned(),
        source: Box::new(source),
    };
    let me = Member {
        raft_id: RaftId(survivor.raft_id),
        node_id: survivor.node,
        addr: survivor.addr,
    };
    let config =
        settings(me, survivor.cluster, dir, vault).map_err(|source| SalvageError::Key {
            dir: dir.to_owned(),
            source,
        })?;
    let forced = config.clone();
    tokio::task::spawn_blocking(move || force_new_cluster(&forced))
        .await?
        .map_err(log)?;
    let store = Arc::new(Store::default());
    let machine = Arc::new(StoreMachine(store.clone()));
    let node = RaftNode::start(config, machine, Arc::new(Nobody))
        .await
        .map_err(log)?;
    let complete = async {
        let mut status = node.status();
        loop {
            if let Ok(index) = node.read_index().await {
                return store.wait_applied(index).await;
            }
            // It elects itself soon; a change of its status is when to ask again.
            drop(timeout(Duration::from_millis(100), status.changed()).await);
        }
    };
    let view = timeout(READY_WITHIN, complete).await;
    node.shutdown().await;
    view.map_err(|_| SalvageError::NotReady(READY_WITHIN))
}

/// Reaches no other member: there are none.
struct Nobody;

impl Dialer for Nobody {
    fn channel(&self, _: &Member) -> Channel {
        Endpoint::from_static("http://127.0.0.1:1").connect_lazy()
    }
}
