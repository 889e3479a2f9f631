//! Where a daemon keeps things.

use anyhow::Context;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use std::fs::DirBuilder;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use weft_proto::defaults;

/// The directories of one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Survives reboots: identity, log, assignments, tasks.
    pub(crate) state_dir: PathBuf,
    /// Does not: socket, namespaces.
    pub(crate) run_dir: PathBuf,
}

impl Paths {
    /// Makes both directories, closed to everybody else: they hold keys and sockets.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        for dir in [&self.state_dir, &self.run_dir] {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(dir).with_context(|| {
                format!("cannot make {}: run the daemon as root, or choose another directory with --state-dir and --run-dir", dir.display())
            })?;
        }
        Ok(())
    }

    /// Refuses to run beside another daemon on the same state.
    pub(crate) fn lock(&self) -> anyhow::Result<Flock<File>> {
        let path = self.state_dir.join("daemon.lock");
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            anyhow::anyhow!(
                "another daemon runs on {} ({errno}): stop it first, or use another --state-dir",
                self.state_dir.display()
            )
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run_dir.join(defaults::SOCKET_NAME)
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.state_dir.join("identity")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.state_dir.join("raft")
    }

    pub(crate) fn node_file(&self) -> PathBuf {
        self.state_dir.join("node.json")
    }

    /// Removes what a node knew of the cluster it left.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        remove_file(&self.node_file())?;
        for dir in [self.log(), self.identity()] {
            match std::fs::remove_dir_all(&dir) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(err).with_context(|| format!("remove {}", dir.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        // Last: a log without its key would be refused, a key without a log is only used again.
        remove_file(&weft_manager::run::key_file(&self.log()))
    }
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
