//! `weft cluster init --force-new-cluster`: the majority is lost for good, and this manager goes on
//! alone with what it has.

use crate::daemon::address::Advertise;
use crate::daemon::node::NodeHandle;
use crate::daemon::node::Running;
use crate::daemon::node_file::NodeFile;
use crate::daemon::paths::Paths;
use crate::daemon::paths::copy_dir;
use anyhow::Context;
use anyhow::bail;
use std::time::Duration;
use tokio::time::timeout;
use weft_manager::acting;
use weft_manager::recovery::Founder;
use weft_manager::recovery::Survivor;
use weft_manager::recovery::TakenOver;
use weft_manager::recovery::found;
use weft_manager::recovery::salvage;
use weft_manager::recovery::take_over;
use weft_proto::wire;

/// How long is waited for a majority, which would make all this needless: several elections.
const MAJORITY_WITHIN: Duration = Duration::from_secs(5);

impl NodeHandle {
    /// Takes the cluster over. Nothing of this node changes before everything is ready on its disk;
    /// then one write decides, and what is left to do is done again after a crash.
    pub(super) async fn force_new_cluster(
        &self,
        request: &wire::InitRequest,
    ) -> anyhow::Result<wire::InitResponse> {
        let mut running = self.running.lock().await;
        self.must_be_open().await?;
        let Some(node) = running.as_mut() else {
            bail!(
                "this node is in no cluster, so there is nothing to recover: found one without \
                 --force-new-cluster, or bring back a backup with \"weft cluster restore\""
            )
        };
        let Some(raft_id) = node.file.raft_id else {
            bail!(
                "this node is a worker and has no copy of the cluster's state: run this on a manager"
            )
        };
        let mut file = node.file.clone();
        if !request.advertise_addr.is_empty() {
            let advertise = Advertise::given(&request.advertise_addr)?;
            file.move_to(advertise.0);
        }
        if let Some(manager) = node.manager.as_ref()
            && timeout(MAJORITY_WITHIN, manager.decides()).await == Ok(true)
        {
            bail!(
                "this cluster has a majority and needs no recovery: look at it with \"weft node ls\"; \
                 managers that are gone for good are removed with \"weft node rm --force\""
            );
        }
        self.control()
            .refuse(|| "this cluster is being recovered: try again in a moment".to_owned());
        if let Some(manager) = node.take_manager() {
            manager.shutdown().await;
        }
        let made = self.prepare(node, &file, raft_id).await;
        if let Ok(taken) = &made {
            file.raft_id = Some(taken.raft_id);
            // What was said of its life before means nothing any more.
            file.standing = taken.snapshot.revision;
            file.managers = vec![file.advertise_addr];
            file.switch_log = true;
            // From here on it is done, whatever happens.
            file.store(&self.config.paths.node_file())?;
            node.file = file;
            finish(&self.config.paths, &mut node.file)?;
        }
        // As it was, or as it is to be.
        if let Err(why) = self.restart_manager(node).await {
            // Only a new process gets out of this.
            self.fail(format!("the manager does not start again: {why:#}"));
            return Err(why);
        }
        let taken = made.context("nothing has changed")?;
        let ready = node.manager.as_ref().context("the manager does not run")?;
        if !ready.decides().await {
            bail!("the cluster is recovered, but its manager does not answer yet: see its log");
        }
        let mut fenced: Vec<String> = taken
            .fenced
            .iter()
            .map(|node| node.description.hostname.clone())
            .collect();
        fenced.sort();
        Ok(wire::InitResponse {
            node_id: node.identity.node.to_string(),
            cluster_id: node.identity.cluster.to_string(),
            worker_token: taken.cluster.worker_token.clone(),
            addr: node.file.advertise_addr.to_string(),
            fenced,
            revision: taken.snapshot.revision,
            ..wire::InitResponse::default()
        })
    }

    /// Makes the new log beside the present one, which is only read.
    async fn prepare(
        &self,
        node: &Running,
        file: &NodeFile,
        raft_id: u64,
    ) -> anyhow::Result<TakenOver> {
        let paths = self.config.paths.clone();
        let spare = paths.spare_log();
        let copied = {
            let paths = paths.clone();
            tokio::task::spawn_blocking(move || {
                paths.sweep()?;
                copy_dir(&paths.log(), &paths.spare_log()).context("copy the log")
            })
        };
        copied.await??;
        let survivor = Survivor {
            node: node.identity.node,
            cluster: node.identity.cluster,
            raft_id,
            addr: file.advertise_addr,
        };
        let state = salvage(survivor, &spare, &self.vault).await?;
        let founder = Founder {
            node: node.identity.node,
            description: self.description(),
            data_addr: file.data_addr,
            advertise_addr: file.advertise_addr,
            at: self.clock.now().into(),
            id: rand::random(),
        };
        acting::says("took the cluster over without its lost majority");
        let taken = take_over(&state, &founder)?;
        found(
            &taken,
            founder.node,
            file.advertise_addr,
            &paths.new_log(),
            &self.vault,
        )
        .await?;
        Ok(taken)
    }

    async fn restart_manager(&self, node: &mut Running) -> anyhow::Result<()> {
        let manager = self
            .start_manager(&node.file, node.credentials.clone())
            .await?;
        if let Some(manager) = manager {
            self.control().connect(manager.control_routes());
            node.put_manager(manager, self.fatal());
        }
        Ok(())
    }
}

/// Finishes a recovery that was decided, and removes what is left of one that was not.
pub(super) fn finish(paths: &Paths, file: &mut NodeFile) -> anyhow::Result<()> {
    if file.switch_log {
        paths.switch_log()?;
        file.switch_log = false;
        file.store(&paths.node_file())?;
    }
    paths.sweep()
}
