//! What a change of role does to this node. Its tasks go on, except when it was removed.

use crate::daemon::node::NodeHandle;
use crate::daemon::node::not_a_manager;
use crate::daemon::paths::remove_dir;
use anyhow::Context;

impl NodeHandle {
    /// Starts the manager part under an identity in the log that this node never used.
    pub(super) async fn become_manager(&self, raft_id: u64, standing: u64) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let Some(node) = running.as_mut() else {
            return Ok(());
        };
        let mut file = node.file.clone();
        if file.raft_id != Some(raft_id) {
            // Whatever an earlier life left would be taken for this one's.
            remove_dir(&self.config.paths.log())?;
            file.raft_id = Some(raft_id);
            file.standing = standing;
            file.managers = node.worker.managers();
            file.store(&self.config.paths.node_file())?;
            node.file = file.clone();
        }
        let manager = self
            .start_manager(&file, node.credentials.clone())
            .await
            .context("this node is to be a manager, and cannot start as one")?;
        if let Some(manager) = manager {
            self.control().connect(manager.control_routes());
            node.put_manager(manager, self.fatal());
        }
        tracing::info!(raft_id, "this node is a manager now");
        Ok(())
    }

    /// Ends the manager part. The others have let it go: its log is of no use any more.
    pub(super) async fn become_worker(&self, standing: u64) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let Some(node) = running.as_mut() else {
            return Ok(());
        };
        let mut file = node.file.clone();
        file.raft_id = None;
        file.standing = standing;
        file.managers = node.worker.managers();
        file.managers.retain(|addr| *addr != file.advertise_addr);
        let worker = node.worker.clone();
        self.control()
            .refuse(move || not_a_manager(&worker.managers()));
        if let Some(manager) = node.take_manager() {
            manager.shutdown().await;
        }
        // Before this node is a worker for good: nothing opens a sealed private key after that.
        self.unseal().await?;
        file.store(&self.config.paths.node_file())?;
        node.file = file;
        remove_dir(&self.config.paths.log())?;
        self.vault.destroy()?;
        tracing::info!("this node is a worker now");
        Ok(())
    }

    /// This node was removed: its tasks and networks end, since others may get their addresses.
    pub(super) async fn give_up(&self, why: &str) {
        let mut running = self.running.lock().await;
        let Some(node) = running.take() else {
            return;
        };
        tracing::warn!(%why, "this node was removed from its cluster; its tasks and networks end");
        self.control()
            .refuse(|| "this node was removed from its cluster".to_owned());
        let cluster = node.identity.cluster;
        let problems = node.worker.clear().await;
        node.stop().await;
        for problem in &problems {
            tracing::warn!(%problem, "something of the cluster could not be removed");
        }
        let forgotten = self
            .config
            .paths
            .retire_log()
            .and_then(|()| self.config.paths.forget(&self.vault));
        if let Err(why) = forgotten {
            tracing::error!(
                why = format!("{why:#}"),
                "the cluster could not be forgotten"
            );
        }
        self.left();
        self.note(format!(
            "this node was removed from cluster {}, and its tasks were ended: join again with \
             \"weft cluster join\" and a token",
            cluster.short()
        ));
    }
}
