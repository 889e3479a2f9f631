//! How this crate runs consensus, the same whenever a directory is opened.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use weft_proto::ClusterId;
use weft_raft::KeyFileError;
use weft_raft::Member;
use weft_raft::Plain;
use weft_raft::RaftConfig;
use weft_raft::Sealing;

/// The settings of a member whose log lies in `dir`. Everything in there is sealed with a key in a
/// file beside it, so that a copy of the directory alone tells nothing. Makes the key of a log that
/// is new. Blocks on the disk.
///
/// # Errors
/// The key of a log that has one is missing, damaged or cannot be read.
pub fn settings(me: Member, cluster: ClusterId, dir: &Path) -> Result<RaftConfig, KeyFileError> {
    let needed = weft_raft::is_written(dir);
    let keys = weft_raft::data_keys(&key_file(dir), &Plain, needed)?;
    let mut config = RaftConfig::new(me, cluster, dir);
    config.sealing = Sealing::with(Arc::new(keys));
    Ok(config)
}

/// Where the keys of the log in `dir` are: whoever removes one must remove both. Copies of a log
/// that differ in the extension of their names only share it.
pub fn key_file(dir: &Path) -> PathBuf {
    dir.with_extension("key")
}
