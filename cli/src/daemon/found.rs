//! `weft cluster init`: this node founds a cluster.

use crate::daemon::address::Advertise;
use crate::daemon::node::NodeHandle;
use crate::daemon::node_file::NodeFile;
use anyhow::Context;
use anyhow::bail;
use ipnet::IpNet;
use std::net::IpAddr;
use weft_manager::ca::Founding;
use weft_manager::ca::bootstrap;
use weft_pki::LiveCredentials;
use weft_pki::UnlockKey;
use weft_proto::defaults;
use weft_proto::object::ClusterSettings;
use weft_proto::wire;

impl NodeHandle {
    /// Founds a cluster with this node as its only manager.
    pub(crate) async fn init(
        &self,
        request: wire::InitRequest,
    ) -> anyhow::Result<wire::InitResponse> {
        if request.force_new_cluster {
            return self.force_new_cluster(&request).await;
        }
        let mut running = self.running.lock().await;
        self.must_be_free(running.as_ref()).await?;
        let advertise = match request.advertise_addr.as_str() {
            "" => Advertise::only_one()?,
            given => Advertise::given(given)?,
        };
        let data_addr = data_addr(&request.data_path_addr, advertise)?;
        let settings = settings(&request)?;
        self.config
            .paths
            .forget(&self.vault)
            .context("remove what a failed attempt left")?;
        let unlock_key = if request.autolock {
            Some(UnlockKey::random()?)
        } else {
            None
        };
        // Nothing of this cluster is ever on this disk as it is.
        self.vault.lock_with(unlock_key.clone())?;
        let founding = bootstrap(Founding {
            unlock_key: unlock_key.clone(),
            settings,
            description: self.description(),
            data_addr,
            advertise_addr: advertise.0,
            now: self.clock.now(),
            cluster: rand::random(),
            node: rand::random(),
        })?;
        let file = NodeFile {
            advertise_addr: advertise.0,
            data_addr,
            raft_id: Some(1),
            standing: 0,
            switch_log: false,
            managers: vec![advertise.0],
        };
        let live = LiveCredentials::new(founding.credentials.clone())?;
        let manager = self.start_manager(&file, live.clone()).await?;
        if let Some(manager) = &manager
            && let Err(err) = manager.found(founding.changes).await
        {
            manager.shutdown().await;
            return Err(err).context("the first entry of the log was not written");
        }
        self.keystore.store(&founding.credentials)?;
        file.store(&self.config.paths.node_file())?;
        let identity = founding.credentials.identity();
        *running = Some(self.start(file, live, manager).await?);
        self.note(String::new());
        Ok(wire::InitResponse {
            node_id: identity.node.to_string(),
            cluster_id: identity.cluster.to_string(),
            worker_token: founding.worker_token,
            addr: advertise.0.to_string(),
            unlock_key: unlock_key.map_or_else(String::new, |key| key.reveal().as_str().to_owned()),
            ..wire::InitResponse::default()
        })
    }
}

/// The address for VXLAN packets: the given one, or the advertised one.
pub(super) fn data_addr(given: &str, advertise: Advertise) -> anyhow::Result<IpAddr> {
    match given {
        "" => Ok(advertise.0.ip()),
        given => Advertise::given(given)
            .map(|addr| addr.0.ip())
            .context("--data-path-addr is refused"),
    }
}

fn settings(request: &wire::InitRequest) -> anyhow::Result<ClusterSettings> {
    let mut settings = wire::ClusterSettings::from(&defaults::settings());
    if !request.address_pools.is_empty() {
        settings.address_pools.clone_from(&request.address_pools);
    }
    if !request.ingress_pool.is_empty() {
        settings.ingress_pool.clone_from(&request.ingress_pool);
    }
    let settings = ClusterSettings::try_from(settings)?;
    let overlaps = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let ingress = IpNet::V4(settings.ingress_pool);
    if let Some(pool) = settings
        .address_pools
        .iter()
        .find(|pool| overlaps(pool, &ingress))
    {
        bail!("address pool {pool} overlaps the ingress pool {ingress}: choose another one");
    }
    Ok(settings)
}
