//! How this crate runs consensus, the same whenever a directory is opened.

use std::path::Path;
use weft_proto::ClusterId;
use weft_raft::Member;
use weft_raft::RaftConfig;

/// The settings of a member whose log lies in `dir`.
pub fn settings(me: Member, cluster: ClusterId, dir: &Path) -> RaftConfig {
    RaftConfig::new(me, cluster, dir)
}
