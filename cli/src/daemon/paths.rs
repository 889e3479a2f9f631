//! Where a daemon keeps things.

use crate::daemon::agent_key::AgentKey;
use anyhow::Context;
use anyhow::bail;
use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use std::fs::DirBuilder;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_manager::run::Vault;
use weft_proto::defaults;

/// How long the last daemon may take to be gone.
const LOCK_WITHIN: Duration = Duration::from_secs(5);

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

    /// Refuses to run beside another daemon on the same state. One that was killed a moment ago may
    /// hold its files until the disk has finished what it asked for.
    pub(crate) async fn lock(&self) -> anyhow::Result<Flock<File>> {
        let path = self.state_dir.join("daemon.lock");
        let deadline = Instant::now() + LOCK_WITHIN;
        loop {
            let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((_, Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                    sleep(LOCK_WITHIN / 50).await;
                }
                Err((_, errno)) => bail!(
                    "another daemon runs on {} ({errno}): stop it first, or use another --state-dir",
                    self.state_dir.display()
                ),
            }
        }
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

    /// A log that is being made to take the place of the present one.
    pub(crate) fn new_log(&self) -> PathBuf {
        self.state_dir.join("raft.new")
    }

    /// A copy of the log that a recovery may spoil.
    pub(crate) fn spare_log(&self) -> PathBuf {
        self.state_dir.join("raft.work")
    }

    /// The log that a recovery replaced, or that a removed manager had.
    pub(crate) fn old_log(&self) -> PathBuf {
        self.state_dir.join("raft.old")
    }

    pub(crate) fn node_file(&self) -> PathBuf {
        self.state_dir.join("node.json")
    }

    /// Removes what a node knew of the cluster it left.
    pub(crate) fn forget(&self, vault: &Vault) -> anyhow::Result<()> {
        remove_file(&self.node_file())?;
        for dir in [
            self.log(),
            self.new_log(),
            self.spare_log(),
            self.identity(),
        ] {
            remove_dir(&dir)?;
        }
        // Last: a log without its key would be refused, a key without a log is only used again.
        AgentKey::new(&self.state_dir, &self.run_dir)
            .destroy()
            .context("remove the key of assignments")?;
        vault.destroy().context("remove the keys of the log")
    }

    /// Removes what an unfinished recovery left beside the log.
    pub(crate) fn sweep(&self) -> anyhow::Result<()> {
        remove_dir(&self.new_log())?;
        remove_dir(&self.spare_log())
    }

    /// Puts the log aside, out of use for good. Contents that only this disk may have are not
    /// thrown away because others said that it is a member no more.
    pub(crate) fn retire_log(&self) -> anyhow::Result<()> {
        if !self.log().exists() {
            return Ok(());
        }
        remove_dir(&self.old_log())?;
        rename(&self.log(), &self.old_log())
    }

    /// Puts the new log in the place of the present one, which is kept aside. Done again after a
    /// crash at any point, it ends alike.
    pub(crate) fn switch_log(&self) -> anyhow::Result<()> {
        if !self.new_log().exists() {
            return Ok(());
        }
        self.retire_log()?;
        rename(&self.new_log(), &self.log())
    }
}

/// Removes a directory with all in it; none is fine.
pub(crate) fn remove_dir(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("remove {}", dir.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Renames for good: it is on the disk when this returns.
fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    let parent = to.parent().unwrap_or(to);
    std::fs::rename(from, to)
        .and_then(|()| File::open(parent)?.sync_all())
        .with_context(|| format!("rename {} to {}", from.display(), to.display()))
}

/// Copies a directory with all in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(dir: &Path) -> Paths {
        Paths {
            state_dir: dir.to_owned(),
            run_dir: dir.join("run"),
        }
    }

    fn make(dir: &Path, word: &str) {
        std::fs::create_dir_all(dir.join("in")).unwrap();
        std::fs::write(dir.join("in/word"), word).unwrap();
    }

    fn word(dir: &Path) -> Option<String> {
        std::fs::read_to_string(dir.join("in/word")).ok()
    }

    #[test]
    fn a_new_log_takes_the_place_of_the_old_one_also_when_that_was_begun_before() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        for begun in [false, true] {
            make(&paths.log(), "one");
            make(&paths.new_log(), "two");
            if begun {
                paths.retire_log().unwrap();
            }
            paths.switch_log().unwrap();
            paths.switch_log().unwrap();
            assert_eq!(word(&paths.log()).as_deref(), Some("two"));
            assert_eq!(word(&paths.old_log()).as_deref(), Some("one"));
            assert!(!paths.new_log().exists());
        }
    }

    #[test]
    fn a_copy_has_everything_and_a_sweep_takes_it_away() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        make(&paths.log(), "one");
        copy_dir(&paths.log(), &paths.spare_log()).unwrap();
        assert_eq!(word(&paths.spare_log()).as_deref(), Some("one"));
        paths.sweep().unwrap();
        paths.sweep().unwrap();
        assert!(paths.log().exists() && !paths.spare_log().exists());
    }
}
