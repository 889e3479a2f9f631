//! `weft cluster restore`: this node founds a cluster with the state of a backup.

use crate::daemon::address::Advertise;
use crate::daemon::found::data_addr;
use crate::daemon::node::NodeHandle;
use crate::daemon::node_file::NodeFile;
use anyhow::Context;
use anyhow::bail;
use futures::StreamExt;
use tonic::Status;
use tonic::Streaming;
use weft_manager::acting;
use weft_manager::ca::certify;
use weft_manager::recovery::Backup;
use weft_manager::recovery::Founder;
use weft_manager::recovery::found;
use weft_manager::recovery::take_over;
use weft_pki::LiveCredentials;
use weft_proto::NodeId;
use weft_proto::wire;
use weft_proto::wire::restore_part::Part;

/// The largest backup that is accepted: far more than any state, and what a machine has room for.
const LARGEST: usize = 1 << 30;

/// The head and the file, as they come.
pub(super) async fn receive(
    mut parts: Streaming<wire::RestorePart>,
) -> Result<(wire::RestoreHead, Vec<u8>), Status> {
    let mut head = None;
    let mut file = Vec::new();
    while let Some(part) = parts.next().await {
        match part?.part {
            Some(Part::Head(first)) => head = Some(first),
            Some(Part::Data(data)) => file.extend_from_slice(&data),
            None => {}
        }
        if file.len() > LARGEST {
            return Err(Status::invalid_argument(
                "this is no backup: it is larger than 1 GiB",
            ));
        }
    }
    let head = head.ok_or_else(|| Status::invalid_argument("the request has no head"))?;
    Ok((head, file))
}

impl NodeHandle {
    /// Founds a cluster of this node alone. As with every founding, the node file comes last: what
    /// lies there without it is swept away by the next attempt.
    pub(super) async fn restore(
        &self,
        head: wire::RestoreHead,
        file: Vec<u8>,
    ) -> anyhow::Result<wire::RestoreResponse> {
        let mut running = self.running.lock().await;
        self.must_be_free(running.as_ref()).await?;
        let backup = tokio::task::spawn_blocking(move || Backup::decode(&file)).await??;
        let advertise = match head.advertise_addr.as_str() {
            "" => Advertise::only_one()?,
            given => Advertise::given(given)?,
        };
        let data_addr = data_addr(&head.data_path_addr, advertise)?;
        let now = self.clock.now();
        let founder = Founder {
            node: NodeId::from_entropy(rand::random()),
            description: self.description(),
            data_addr,
            advertise_addr: advertise.0,
            at: now.into(),
            id: rand::random(),
        };
        acting::says(format!(
            "restored a backup of revision {}",
            backup.snapshot.revision
        ));
        let taken = take_over(&backup.state(), &founder)?;
        let credentials = certify(&taken.cluster, founder.node, now)?;
        let paths = &self.config.paths;
        paths
            .forget(&self.vault)
            .context("remove what a failed attempt left")?;
        if let Some(key) = &taken.cluster.unlock_key {
            self.lock_with(key.as_ref())?;
        }
        found(&taken, founder.node, advertise.0, &paths.log(), &self.vault).await?;
        self.keystore.store(&credentials)?;
        let file = NodeFile {
            advertise_addr: advertise.0,
            data_addr,
            raft_id: Some(taken.raft_id),
            standing: taken.snapshot.revision,
            switch_log: false,
            managers: vec![advertise.0],
        };
        let live = LiveCredentials::new(credentials)?;
        let manager = self.start_manager(&file, live.clone()).await?;
        file.store(&paths.node_file())?;
        let node = self.start(file, live, manager).await?;
        let ready = match &node.manager {
            Some(manager) => manager.decides().await,
            None => false,
        };
        *running = Some(node);
        if !ready {
            bail!("the cluster is restored, but its manager does not answer yet: see its log");
        }
        let mut fenced: Vec<String> = taken
            .fenced
            .iter()
            .map(|node| node.description.hostname.clone())
            .collect();
        fenced.sort();
        Ok(wire::RestoreResponse {
            node_id: founder.node.to_string(),
            cluster_id: taken.cluster.id.to_string(),
            addr: advertise.0.to_string(),
            revision: backup.snapshot.revision,
            taken_at_ms: backup.taken_at.as_millis(),
            fenced,
            workers: u32::try_from(taken.others).unwrap_or(u32::MAX),
        })
    }
}
