//! `weft cluster join`: this node becomes part of a cluster.

use crate::daemon::address::Advertise;
use crate::daemon::found::data_addr;
use crate::daemon::node::NodeHandle;
use crate::daemon::node_file::NodeFile;
use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tonic::Code;
use tonic::Status;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::JoinToken;
use weft_pki::LiveCredentials;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::certificate_request;
use weft_pki::enrol_channel;
use weft_proto::Role;
use weft_proto::defaults::CONTROL_PORT;
use weft_proto::wire;
use weft_proto::wire::ca_client::CaClient;

/// How long a manager may take to let a node in: it may have to wait for a leader.
const PATIENCE: Duration = Duration::from_secs(20);

impl NodeHandle {
    /// Joins the cluster that the token belongs to, through one of its managers.
    pub(crate) async fn join(
        &self,
        request: wire::JoinRequest,
    ) -> anyhow::Result<wire::JoinResponse> {
        let mut running = self.running.lock().await;
        self.must_be_free(running.as_ref()).await?;
        let token = JoinToken::parse(request.token.trim())?;
        let remote = resolve(&request.remote_addr).await?;
        let advertise = match request.advertise_addr.as_str() {
            "" => Advertise::towards(remote)?,
            given => Advertise::given(given)?,
        };
        let data_addr = data_addr(&request.data_path_addr, advertise)?;
        self.config
            .paths
            .forget(&self.vault)
            .context("remove what a failed attempt left")?;

        let key = PrivateKey::generate()?;
        let issue = wire::IssueRequest {
            token: request.token.trim().to_owned(),
            csr_der: certificate_request(&key)?,
            description: Some((&self.description()).into()),
            data_addr: data_addr.to_string(),
            advertise_addr: advertise.0.to_string(),
        };
        let mut ca = CaClient::new(enrol_channel(remote, token.root()));
        let issued = timeout(PATIENCE, ca.issue(issue))
            .await
            .map_err(|_| anyhow!("the manager at {remote} does not answer: is it up, and does a firewall keep port {} closed?", remote.port()))?
            .map_err(|status| said(remote, &status))?
            .into_inner();

        let chain = CertificateChain::from_der(issued.chain_der)?;
        let root = RootCert::pinned(&chain, token.root())?;
        let credentials = Credentials::new(key, chain, root)?;
        let identity = credentials.identity();
        let managers: Vec<SocketAddr> = issued
            .manager_addrs
            .iter()
            .filter_map(|addr| addr.parse().ok())
            .collect();
        let file = NodeFile {
            advertise_addr: advertise.0,
            data_addr,
            raft_id: (issued.raft_id > 0).then_some(issued.raft_id),
            standing: 0,
            switch_log: false,
            managers: if managers.is_empty() {
                vec![remote]
            } else {
                managers
            },
        };
        if (identity.role == Role::Manager) != file.raft_id.is_some() {
            bail!(
                "the manager at {remote} answered with a role that does not fit: update weft on both nodes to the same release"
            );
        }
        self.lock_with(&issued.unlock_key)?;
        self.keystore.store(&credentials)?;
        let live = LiveCredentials::new(credentials)?;
        let manager = self.start_manager(&file, live.clone()).await?;
        file.store(&self.config.paths.node_file())?;
        *running = Some(self.start(file, live, manager).await?);
        self.note(String::new());
        Ok(wire::JoinResponse {
            node_id: identity.node.to_string(),
            cluster_id: identity.cluster.to_string(),
            role: wire::NodeRole::from(identity.role).into(),
        })
    }
}

/// `HOST`, `HOST:PORT`, `IP` or `IP:PORT`; the port defaults to 2377.
async fn resolve(text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(Advertise(addr)) = Advertise::parse(text) {
        return Ok(addr);
    }
    let with_port = if text.contains(':') {
        text.to_owned()
    } else {
        format!("{text}:{CONTROL_PORT}")
    };
    let mut addrs = lookup_host(&with_port).await.with_context(|| {
        format!(
            "cannot find {text:?}: give a manager's IP or host name, as in 192.0.2.1:{CONTROL_PORT}"
        )
    })?;
    addrs.next().ok_or_else(|| anyhow!("{text} has no address"))
}

/// What a manager's refusal means for whoever joins.
fn said(remote: SocketAddr, status: &Status) -> anyhow::Error {
    match weft_pki::explain(status) {
        Some(why) => anyhow!("cannot join through {remote}: {why}"),
        None if status.code() == Code::Unavailable => {
            anyhow!("cannot join through {remote}: {}", status.message())
        }
        None => anyhow!("{}", status.message()),
    }
}
