//! Where a rig keeps its files: everything below two directories, so that removing both removes it.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

/// Parent of all rigs made by tests.
pub const RIGS: &str = "/run/weft-rig";

/// The directories of one rig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Distinguishes this rig from all others on the machine; part of every name it makes.
    pub tag: String,
    /// Sockets, namespaces, logs, the rig's own state. On tmpfs, gone after a reboot, as the
    /// namespaces are.
    pub run: PathBuf,
    /// State of the daemons.
    pub state: PathBuf,
}

impl Layout {
    /// A rig of a test: all its files below [`RIGS`].
    pub fn test(tag: &str) -> Self {
        let run = Path::new(RIGS).join(tag);
        Self {
            tag: tag.to_owned(),
            state: run.clone(),
            run,
        }
    }

    /// The one demo of this machine: its daemons' state is on disk, as in real life.
    pub fn demo() -> Self {
        Self {
            tag: "demo".to_owned(),
            run: PathBuf::from("/run/weft-demo"),
            state: PathBuf::from("/var/lib/weft-demo"),
        }
    }

    /// What the rig consists of; written before anything is made.
    pub fn state_file(&self) -> PathBuf {
        self.run.join("rig.json")
    }

    /// Directory of the bind-mounted namespaces.
    pub fn netns_dir(&self) -> PathBuf {
        self.run.join("ns")
    }

    /// A host's network namespace (`wire` is the switch in the middle).
    pub fn netns(&self, host: &str) -> PathBuf {
        self.netns_dir().join(host)
    }

    /// The same namespace under the name `ip netns exec` looks for.
    pub fn netns_alias(&self, host: &str) -> PathBuf {
        Path::new("/run/netns").join(format!("weft-{}-{host}", self.tag))
    }

    /// A host's own files in the run directory.
    pub fn host_dir(&self, host: &str) -> PathBuf {
        self.run.join(host)
    }

    /// The daemon's `--run-dir`.
    pub fn host_run(&self, host: &str) -> PathBuf {
        self.host_dir(host).join("run")
    }

    /// The daemon's `--state-dir`.
    pub fn host_state(&self, host: &str) -> PathBuf {
        self.state.join(host).join("state")
    }

    /// What the daemon wrote to its standard error.
    pub fn log(&self, host: &str) -> PathBuf {
        self.host_dir(host).join("daemon.log")
    }

    /// Who the daemon is, for processes that did not start it.
    pub fn pid_file(&self, host: &str) -> PathBuf {
        self.host_dir(host).join("daemon.pid")
    }

    /// Parent cgroup of a host's tasks.
    pub fn cgroup(&self, host: &str) -> String {
        format!("weft-{}-{host}", self.tag)
    }

    /// Environment entry that marks every process started on a host. Children inherit it, so a
    /// process is recognised also when it left the host's namespaces.
    pub fn marker(&self, host: &str) -> String {
        format!("{MARKER}={}/{host}", self.tag)
    }

    /// Link in the machine's own namespace that leads to the rig's wire, when it has one. Link
    /// names end at 15 bytes; the end of a long tag is what tells it apart.
    pub fn uplink(&self) -> String {
        let name = format!("weft-{}0", self.tag);
        let start = name.len().saturating_sub(15);
        name.get(start..).unwrap_or(&name).to_owned()
    }
}

/// Name of the environment variable of [`Layout::marker`].
pub const MARKER: &str = "WEFT_RIG";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_uplink_name_fits_a_link() {
        assert_eq!(Layout::demo().uplink(), "weft-demo0");
        assert_eq!(
            Layout::test("rig-demo-4194304-12").uplink(),
            "emo-4194304-120"
        );
    }

    #[test]
    fn a_socket_path_fits_its_address() {
        let run = Layout::test("rig-twelve-chars-4194304-999").host_run("twelve-chars");
        // sun_path of struct sockaddr_un holds 108 bytes with the closing zero.
        assert!(run.join("weft.sock").as_os_str().len() < 108);
    }
}
