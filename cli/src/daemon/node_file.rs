//! What a node must remember of itself to take its place again without asking anybody.

use anyhow::Context;
use serde::Deserialize;
use serde::Serialize;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use weft_worker::durable;

/// A node's place in its cluster. Written last when a node founds or joins one: without it, what
/// else lies in the state directory is the rest of an attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFile {
    /// Where peers and agents reach this node, if it is a manager.
    pub(crate) advertise_addr: SocketAddr,
    /// Where other nodes send its VXLAN packets.
    pub(crate) data_addr: IpAddr,
    /// A manager's identity in the log.
    pub(crate) raft_id: Option<u64>,
    /// The version of the cluster's word that made this node what it is: older words are not acted
    /// on, whoever repeats them.
    #[serde(default)]
    pub(crate) standing: u64,
    /// A recovery made a new log, and it has to take the place of the present one.
    #[serde(default)]
    pub(crate) switch_log: bool,
    /// Managers known when this was written; newer ones come with the assignments.
    pub(crate) managers: Vec<SocketAddr>,
}

impl NodeFile {
    /// Reads it; `None` if the node is in no cluster.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Option<NodeFile>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err).with_context(|| format!("read {}", path.display())),
        };
        serde_json::from_slice(&text).map(Some).with_context(|| {
            format!(
                "{} is damaged: restore it from a backup, or remove this node's state directory \
                 and join again",
                path.display()
            )
        })
    }

    /// Writes it so that a crash leaves the old one or the new one.
    pub(crate) fn store(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| durable::replace(path, &text))
            .with_context(|| format!("write {}", path.display()))
    }
}
