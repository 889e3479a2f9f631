//! Gets rid of data keys that seal nothing new any more.

use crate::vault::Vault;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use weft_raft::RaftNode;
use weft_raft::keys_in_use;

/// Between two looks at what still needs an old key. What was being sealed with it when it became one
/// is on the disk at the look after the next.
const PERIOD: Duration = Duration::from_secs(20);

/// Until `stop`: while the vault has old keys, has a snapshot made, whose content is sealed anew and
/// which lets old segments of the log go, and forgets the keys that nothing is sealed with.
pub(super) async fn retire(
    dir: PathBuf,
    raft: RaftNode,
    vault: Arc<Vault>,
    stop: CancellationToken,
) {
    let work = async {
        let mut known = BTreeSet::new();
        let mut before = BTreeSet::new();
        loop {
            sleep(PERIOD).await;
            let old = vault.old_keys();
            let young: BTreeSet<u32> = old.difference(&before).copied().collect();
            before.clone_from(&old);
            if old.is_empty() {
                continue;
            }
            let (dir, vault) = (dir.clone(), vault.clone());
            let looked = tokio::task::spawn_blocking(move || look(&dir, &vault, young)).await;
            match looked {
                Ok(Ok(in_use)) => {
                    if known != in_use {
                        tracing::info!(keys = ?in_use, "data keys in use");
                        known = in_use;
                        raft.build_snapshot().await;
                    }
                }
                Ok(Err(why)) => tracing::warn!(%why, "old data keys stay for now"),
                Err(why) => tracing::error!(%why, "the disk's thread ended"),
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Forgets what is not in use, in the log and in those kept beside it; what is. The young ones count
/// as in use.
fn look(dir: &Path, vault: &Vault, young: BTreeSet<u32>) -> io::Result<BTreeSet<u32>> {
    let mut in_use = young;
    for beside in ["", "old", "new", "work"] {
        in_use.extend(keys_in_use(&dir.with_extension(beside))?);
    }
    vault.retire(&in_use).map_err(io::Error::other)?;
    Ok(in_use)
}
