//! A manager whose keys are locked: it starts, takes no part in anything, and waits for the unlock
//! key. Its worker goes on with what it was told last.

use crate::daemon::node::NodeHandle;
use crate::daemon::node::Running;
use crate::daemon::node::watch_worker;
use crate::daemon::node_file::NodeFile;
use crate::daemon::worker::Worker;
use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use tokio::task::JoinHandle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use weft_manager::run::KeyFileError;
use weft_manager::run::Manager;
use weft_pki::NodeIdentity;
use weft_pki::UnlockKey;
use weft_proto::wire;

const LOCKED: &str = "this manager is locked, as after every restart: open it with \"weft cluster \
     unlock\" and the unlock key (\"weft cluster unlock-key\" on a manager that runs shows it). Its \
     tasks go on as they are";

/// A node that cannot read its own identity yet.
pub(super) struct Locked {
    identity: NodeIdentity,
    file: NodeFile,
    worker: Worker,
    stop: CancellationToken,
    watcher: JoinHandle<()>,
}

impl NodeHandle {
    /// Why this node must stay locked for now; `None` if its keys open by themselves, or are none.
    pub(super) async fn closed(&self) -> anyhow::Result<Option<String>> {
        let (vault, keystore) = (self.vault.clone(), self.keystore.clone());
        spawn_blocking(move || match vault.open(None) {
            Err(KeyFileError::Locked { .. }) => Ok(Some(LOCKED.to_owned())),
            Err(why) if keystore.is_sealed() => Ok(Some(lost(why.into()))),
            // What is wrong with the keys of a log is told when it is opened.
            Ok(()) | Err(_) if !keystore.is_sealed() => Ok(None),
            Ok(()) | Err(_) => Ok(keystore.load().err().map(|why| lost(why.into()))),
        })
        .await?
    }

    /// Starts all that can run without the keys.
    pub(super) async fn start_locked(&self, file: NodeFile, why: String) -> anyhow::Result<()> {
        let identity = self.keystore.identity()?;
        let worker = self.start_worker(identity, &file, None).await?;
        let stop = CancellationToken::new();
        let watched = watch_worker(worker.clone(), stop.clone(), self.fatal());
        tracing::warn!("{why}");
        self.note(why.clone());
        self.control().refuse(move || why.clone());
        *self.locked.lock().await = Some(Locked {
            identity,
            file,
            worker,
            stop,
            watcher: tokio::spawn(watched),
        });
        Ok(())
    }

    /// Opens the keys and takes up this node's place.
    pub(super) async fn unlock(&self, key: &str) -> anyhow::Result<()> {
        let key = UnlockKey::parse(key)?;
        let mut running = self.running.lock().await;
        let mut locked = self.locked.lock().await;
        let Some(node) = locked.as_ref() else {
            bail!("this node is not locked")
        };
        let file = node.file.clone();
        let vault = self.vault.clone();
        let opened = spawn_blocking(move || vault.open(Some(&key))).await?;
        opened.map_err(|why| match why {
            KeyFileError::WrongKey { .. } => anyhow!(
                "this is not the key that this manager is locked with: if the unlock key was \
                 exchanged while this manager was away, it still needs the one before"
            ),
            why @ (KeyFileError::Missing { .. }
            | KeyFileError::Locked { .. }
            | KeyFileError::Read { .. }
            | KeyFileError::Write { .. }
            | KeyFileError::Line { .. }) => {
                anyhow::Error::from(why).context("this manager's keys cannot be opened")
            }
        })?;
        tracing::info!("this manager was unlocked");
        if let Some(node) = locked.take() {
            node.stop().await;
        }
        self.note(String::new());
        let taken = self.take_place(&mut running, file).await;
        if let Err(why) = &taken {
            // Only a new process gets out of this.
            self.fail(format!(
                "this node was unlocked and does not start: {why:#}"
            ));
        }
        taken
    }

    /// Ends a locked node's part in its cluster, which cannot be told.
    pub(super) async fn leave_locked(&self, force: bool) -> anyhow::Result<bool> {
        let mut locked = self.locked.lock().await;
        if locked.is_none() {
            return Ok(false);
        }
        if !force {
            bail!(
                "this manager is locked and cannot tell the others that it leaves: unlock it first \
                 (weft cluster unlock); to leave all the same, add --force, and remove the node \
                 there with \"weft node rm --force\""
            );
        }
        if let Some(node) = locked.take() {
            self.control()
                .refuse(|| "this node is leaving its cluster".to_owned());
            let problems = node.worker.clear().await;
            node.stop().await;
            self.config.paths.forget(&self.vault)?;
            self.left();
            self.note(String::new());
            if !problems.is_empty() {
                bail!(
                    "the node has left, but could not remove everything: {}",
                    problems.join("; ")
                );
            }
        }
        Ok(true)
    }

    /// Refuses what a locked node cannot do.
    pub(super) async fn must_be_open(&self) -> anyhow::Result<()> {
        match self.locked.lock().await.as_ref() {
            None => Ok(()),
            Some(_) => Err(anyhow!(LOCKED)),
        }
    }

    /// What a locked node says about itself; whether it is one.
    pub(super) fn tell_locked(&self, info: &mut wire::InfoResponse) -> bool {
        let Ok(locked) = self.locked.try_lock() else {
            return false;
        };
        let Some(node) = locked.as_ref() else {
            return false;
        };
        info.state = "locked".to_owned();
        info.node_id = node.identity.node.to_string();
        info.cluster_id = node.identity.cluster.to_string();
        let managers = node.file.managers.iter();
        info.manager_addrs = managers.map(ToString::to_string).collect();
        true
    }

    /// Keeps the node's private key on the disk sealed or not, as the keys beside it are, as long as
    /// `manager` runs.
    pub(super) fn keep_sealed(&self, manager: &Manager) {
        let mut relocked = manager.locked();
        let (keystore, renew) = (self.keystore.clone(), self.renew.clone());
        let (agent_key, vault) = (self.agent_key.clone(), self.vault.clone());
        tokio::spawn(async move {
            loop {
                let (store, agent_key, vault) =
                    (keystore.clone(), agent_key.clone(), vault.clone());
                let sealed = spawn_blocking(move || -> anyhow::Result<bool> {
                    agent_key.settle(&*vault)?;
                    Ok(store.reseal()?)
                });
                match sealed.await {
                    Ok(Ok(true)) if keystore.is_sealed() => {
                        tracing::info!("this node's private key is sealed");
                        // The disk may still have the old one somewhere.
                        renew.notify_one();
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(why)) => {
                        tracing::error!("this node's private key lies as it did: {why:#}");
                    }
                    Err(why) => tracing::error!(%why, "the disk's thread ended"),
                }
                if relocked.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// A demoted manager's private key is a worker's: it lies there as it is, and the keys it was
    /// sealed with go.
    pub(super) async fn unseal(&self) -> anyhow::Result<()> {
        self.vault.release();
        let (keystore, agent_key, vault) = (
            self.keystore.clone(),
            self.agent_key.clone(),
            self.vault.clone(),
        );
        spawn_blocking(move || {
            agent_key.settle(&*vault)?;
            let resealed = keystore.reseal();
            resealed.map(drop).context("keep this node's private key")
        })
        .await?
    }

    /// Takes over what the cluster's managers are locked with, for a node that becomes one.
    pub(super) fn lock_with(&self, unlock_key: &[u8]) -> anyhow::Result<()> {
        if let Some(key) = UnlockKey::from_bytes(unlock_key) {
            self.vault.lock_with(Some(key))?;
        }
        Ok(())
    }

    pub(super) async fn stop_locked(&self) {
        if let Some(node) = self.locked.lock().await.take() {
            node.stop().await;
        }
    }

    /// Takes up the place that this node had, with its keys open.
    pub(super) async fn take_place(
        &self,
        running: &mut Option<Running>,
        file: NodeFile,
    ) -> anyhow::Result<()> {
        let live = weft_pki::LiveCredentials::new(self.keystore.load()?)?;
        let (manager, refused) = match self.start_manager(&file, live.clone()).await {
            Ok(manager) => (manager, None),
            Err(err) if must_rejoin(&err) => (None, Some(format!("{err:#}"))),
            Err(err) => return Err(err),
        };
        *running = Some(self.start(file, live, manager).await?);
        if let Some(why) = refused {
            // Its tasks need not suffer, and a daemon is needed to leave the cluster.
            tracing::error!("{why}; until then this node is only a worker");
            self.control().refuse(move || why.clone());
        }
        Ok(())
    }
}

impl Locked {
    /// Ends everything but the tasks.
    async fn stop(self) {
        self.stop.cancel();
        self.worker.stop().await;
        drop(self.watcher.await);
    }
}

fn must_rejoin(err: &anyhow::Error) -> bool {
    err.downcast_ref::<weft_manager::run::StartError>()
        .is_some_and(weft_manager::run::StartError::must_rejoin)
}

/// There is nothing to unlock: the keys themselves are gone.
fn lost(why: anyhow::Error) -> String {
    format!(
        "this manager's keys are lost ({why:#}), and with them its identity. To bring this node back: \
         on another manager run \"weft node rm --force\" for it, then here \"weft cluster leave \
         --force\" and \"weft cluster join --token TOKEN MANAGER:2377\". If it was the only manager, \
         restore a backup"
    )
}
