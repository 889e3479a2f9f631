//! What a rig consists of, on disk: enough for a stranger to take it down.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde::Serialize;

use crate::error::RigError;
use crate::layout::Layout;
use crate::process::ProcessId;

/// The rig's own record of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RigState {
    /// Its directories and tag.
    pub layout: Layout,
    /// The process whose end makes this rig stale; `None` for a rig that outlives its maker.
    pub creator: Option<ProcessId>,
    /// Addresses on the wire.
    pub subnet: Ipv4Net,
    /// Whether the machine itself is on the wire.
    pub uplink: bool,
    /// Program the hosts run.
    pub weft: PathBuf,
    /// Its hosts, in order of making.
    pub hosts: Vec<HostState>,
}

/// One host of a rig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostState {
    /// Its name, also its hostname.
    pub name: String,
    /// Its address on the wire.
    pub addr: Ipv4Addr,
}

impl RigState {
    /// Reads the record in `run`.
    ///
    /// # Errors
    /// [`RigError::NotThere`] without a record, [`RigError::State`] when it is damaged.
    pub fn load(run: &Path) -> Result<Self, RigError> {
        let path = run.join("rig.json");
        let text = fs::read(&path).map_err(|source| RigError::NotThere {
            dir: run.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|source| RigError::State { path, source })
    }

    /// Writes the record, replacing the old one in one step: a crash leaves either of the two.
    ///
    /// # Errors
    /// [`RigError::File`] when the directory cannot be written.
    pub fn save(&self) -> Result<(), RigError> {
        let path = self.layout.state_file();
        let fresh = path.with_extension("new");
        let text = serde_json::to_vec_pretty(self).map_err(|source| RigError::State {
            path: path.clone(),
            source,
        })?;
        fs::File::create(&fresh)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|source| RigError::File {
                op: "write",
                path,
                source,
            })
    }

    /// Whether nobody is responsible for this rig any more.
    pub fn is_stale(&self) -> bool {
        self.creator
            .as_ref()
            .is_some_and(|creator| !creator.is_alive())
    }
}
