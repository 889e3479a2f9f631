//! How this crate runs consensus, the same whenever a directory is opened.

use crate::vault::Vault;
use std::path::Path;
use std::sync::Arc;
use weft_proto::ClusterId;
use weft_raft::KeyFileError;
use weft_raft::Member;
use weft_raft::RaftConfig;
use weft_raft::Sealing;

/// The settings of a member whose log lies in `dir`. Everything in there is sealed with keys out of
/// the vault, so that a copy of the directory alone tells nothing. Makes the keys of a log that is
/// new. Blocks on the disk.
///
/// # Errors
/// The keys of a log that has some are missing, locked, damaged or cannot be read.
pub fn settings(
    me: Member,
    cluster: ClusterId,
    dir: &Path,
    vault: &Arc<Vault>,
) -> Result<RaftConfig, KeyFileError> {
    vault.ready(weft_raft::is_written(dir))?;
    let mut config = RaftConfig::new(me, cluster, dir);
    config.sealing = Sealing::with(vault.clone());
    Ok(config)
}
