//! The key that a node's saved assignments are sealed with: they name services and networks, and hold
//! the environment of tasks.
//!
//! ```text
//! STATE/agent.key           0600; the key as it is
//! STATE/agent.key.sealed    instead of it, on a manager whose keys are locked
//! RUN/agent.key             and then a copy in memory, so that a daemon which starts again while the
//!                           machine runs knows what its tasks are, and one after a reboot does not
//! ```

use anyhow::Context;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use weft_pki::KeySeal;
use weft_pki::LocalKey;
use weft_worker::durable;
use zeroize::Zeroizing;

const NAME: &str = "agent.key";
const SEALED: &str = "agent.key.sealed";

/// Where the key is.
#[derive(Clone, Debug)]
pub(super) struct AgentKey {
    state: PathBuf,
    run: PathBuf,
    /// One change after the other, also by clones.
    turn: Arc<Mutex<()>>,
}

impl AgentKey {
    pub(super) fn new(state: &Path, run: &Path) -> Self {
        AgentKey {
            state: state.to_owned(),
            run: run.to_owned(),
            turn: Arc::default(),
        }
    }

    /// The key; `None` if it is sealed and cannot be opened now. Makes one if there is none.
    pub(super) fn load(&self, seal: &dyn KeySeal) -> anyhow::Result<Option<LocalKey>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in [&self.run, &self.state] {
            if let Some(key) = read(&dir.join(NAME))? {
                return Ok(Some(key));
            }
        }
        let sealed = match fs::read(self.state.join(SEALED)) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = LocalKey::random()?;
                self.put(&key, seal)?;
                return Ok(Some(key));
            }
            Err(error) => return Err(error).context("read the sealed key of assignments"),
        };
        let Ok(text) = seal.open(&sealed) else {
            return Ok(None);
        };
        let key = LocalKey::parse(&text).context("the sealed key of assignments is damaged")?;
        self.put(&key, seal)?;
        Ok(Some(key))
    }

    /// Puts the key where it belongs now, and removes it from where it does not.
    pub(super) fn settle(&self, seal: &dyn KeySeal) -> anyhow::Result<()> {
        let Some(key) = self.load(seal)? else {
            return Ok(());
        };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&key, seal)
    }

    fn put(&self, key: &LocalKey, seal: &dyn KeySeal) -> anyhow::Result<()> {
        let text = key.reveal();
        let (plain, sealed, copy) = (
            self.state.join(NAME),
            self.state.join(SEALED),
            self.run.join(NAME),
        );
        let placed = || match seal.seal(&text)? {
            Some(bytes) => {
                durable::replace(&copy, text.as_bytes())?;
                durable::replace(&sealed, &bytes)?;
                remove(&plain)
            }
            None => {
                durable::replace(&plain, text.as_bytes())?;
                remove(&sealed)?;
                remove(&copy)
            }
        };
        placed().context("keep the key of this node's assignments")
    }

    /// Removes it everywhere.
    pub(super) fn destroy(&self) -> io::Result<()> {
        remove(&self.run.join(NAME))?;
        remove(&self.state.join(NAME))?;
        remove(&self.state.join(SEALED))
    }
}

/// A damaged file counts as none: what was sealed comes anew from a manager.
fn read(path: &Path) -> anyhow::Result<Option<LocalKey>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(LocalKey::parse(&Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_manager::run::Vault;
    use weft_pki::UnlockKey;

    struct World {
        dir: tempfile::TempDir,
        vault: Vault,
        key: AgentKey,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let (state, run) = (dir.path().join("state"), dir.path().join("run"));
        fs::create_dir_all(&state).unwrap();
        fs::create_dir_all(&run).unwrap();
        let vault = Vault::beside(&state.join("raft"));
        vault.ready(false).unwrap();
        let key = AgentKey::new(&state, &run);
        World { dir, vault, key }
    }

    fn on_disk(world: &World, text: &str) -> bool {
        let state = fs::read_dir(world.dir.path().join("state")).unwrap();
        state.into_iter().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(text.len()).any(|at| at == text.as_bytes())
        })
    }

    #[test]
    fn a_locked_managers_key_is_in_memory_and_sealed_and_found_again_by_both_ways() {
        let world = world();
        let made = world.key.load(&world.vault).unwrap().unwrap().reveal();
        assert!(on_disk(&world, &made));
        let unlock = UnlockKey::random().unwrap();
        world.vault.lock_with(Some(unlock.clone())).unwrap();
        world.key.settle(&world.vault).unwrap();
        assert!(!on_disk(&world, &made));

        // The daemon starts again; the machine did not.
        let closed = Vault::beside(&world.dir.path().join("state/raft"));
        assert!(closed.open(None).is_err());
        let found = world.key.load(&closed).unwrap().unwrap();
        assert_eq!(*found.reveal(), *made);
        // A reboot.
        fs::remove_file(world.dir.path().join("run/agent.key")).unwrap();
        assert!(world.key.load(&closed).unwrap().is_none());
        closed.open(Some(&unlock)).unwrap();
        let found = world.key.load(&closed).unwrap().unwrap();
        assert_eq!(*found.reveal(), *made);
        assert!(!on_disk(&world, &made));

        world.vault.lock_with(None).unwrap();
        world.key.settle(&world.vault).unwrap();
        assert!(on_disk(&world, &made));
        assert!(!world.dir.path().join("run/agent.key").exists());
        world.key.destroy().unwrap();
        assert!(!on_disk(&world, &made));
    }
}
