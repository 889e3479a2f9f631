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
use weft_pki::Keystore;
use weft_pki::LiveCredentials;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::certificate_request;
use weft_pki::enrol_channel;
use weft_proto::ClusterId;
use weft_proto::JoinTokenId;
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
        Self::must_be_free(running.as_ref())?;
        let token = JoinToken::parse(request.token.trim())?;
        let remote = resolve(&request.remote_addr).await?;
        let advertise = match request.advertise_addr.as_str() {
            "" => Advertise::towards(remote)?,
            given => Advertise::given(given)?,
        };
        let data_addr = data_addr(&request.data_path_addr, advertise)?;
        self.config
            .paths
            .forget()
            .context("remove what a failed attempt left")?;

        let asked = self.asking.lock().await.take();
        let asked = asked.filter(|asked| asked.token == token.secret().id());
        let key = match &asked {
            Some(asked) => asked.key.clone(),
            None => PrivateKey::generate()?,
        };
        let issue = wire::IssueRequest {
            token: request.token.trim().to_owned(),
            csr_der: certificate_request(&key)?,
            description: Some((&self.description()).into()),
            data_addr: data_addr.to_string(),
            advertise_addr: advertise.0.to_string(),
        };
        let (remote, issued) = match (ask(remote, &token, &issue, asked.as_ref()).await, asked) {
            (Ok(answer), _) => answer,
            // Nobody said no: it waits on.
            (Err(Unanswered::Passing(why)), Some(asked)) => {
                tracing::info!(%why, "nobody answers at the moment; this node waits on");
                return Ok(self.wait_on(asked).await);
            }
            (Err(Unanswered::Passing(why) | Unanswered::Refused(why)), _) => {
                self.note(String::new());
                return Err(why);
            }
        };
        if issued.waits {
            let managers = issued.manager_addrs.iter();
            let asking = Asking {
                token: token.secret().id(),
                key,
                node: issued.node_id,
                cluster: token.cluster(),
                role: token.role(),
                managers: managers.filter_map(|addr| addr.parse().ok()).collect(),
            };
            return Ok(self.wait_on(asking).await);
        }

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
        Keystore::new(self.config.paths.identity()).store(&credentials)?;
        let live = LiveCredentials::new(credentials)?;
        let manager = self.start_manager(&file, live.clone()).await?;
        file.store(&self.config.paths.node_file())?;
        *running = Some(self.start(file, live, manager).await?);
        self.note(String::new());
        Ok(wire::JoinResponse {
            node_id: identity.node.to_string(),
            cluster_id: identity.cluster.to_string(),
            role: wire::NodeRole::from(identity.role).into(),
            waits: false,
        })
    }

    /// This node is no member yet, and asks again when it is told to.
    async fn wait_on(&self, asking: Asking) -> wire::JoinResponse {
        self.note(format!(
            "waits to be let into the cluster: run \"weft node accept {}\" on a manager",
            asking.node
        ));
        let answer = wire::JoinResponse {
            node_id: asking.node.clone(),
            cluster_id: asking.cluster.to_string(),
            role: wire::NodeRole::from(asking.role).into(),
            waits: true,
        };
        *self.asking.lock().await = Some(asking);
        answer
    }
}

/// What a node asked for that waits to be let in. The key is what it is known by, so it asks with
/// the same one again; only in memory, like everything before it is a member.
pub(super) struct Asking {
    token: JoinTokenId,
    key: PrivateKey,
    node: String,
    cluster: ClusterId,
    role: Role,
    managers: Vec<SocketAddr>,
}

/// Why there is no answer to go by.
enum Unanswered {
    /// Perhaps there is one later.
    Passing(anyhow::Error),
    /// There will be none.
    Refused(anyhow::Error),
}

/// Asks a manager for a certificate; one who waits already, also the others that it heard of.
async fn ask(
    first: SocketAddr,
    token: &JoinToken,
    issue: &wire::IssueRequest,
    asked: Option<&Asking>,
) -> Result<(SocketAddr, wire::IssueResponse), Unanswered> {
    let others = asked.map(|asked| asked.managers.as_slice());
    let others = others.unwrap_or_default().iter().copied();
    let mut last = None;
    for remote in [first]
        .into_iter()
        .chain(others.filter(|addr| *addr != first))
    {
        let mut ca = CaClient::new(enrol_channel(remote, token.root()));
        match timeout(PATIENCE, ca.issue(issue.clone())).await {
            Ok(Ok(answer)) => return Ok((remote, answer.into_inner())),
            Ok(Err(status)) if !is_passing(&status) => {
                return Err(Unanswered::Refused(said(remote, &status)));
            }
            Ok(Err(status)) => last = last.or(Some(said(remote, &status))),
            Err(_) => {
                last = last.or_else(|| Some(anyhow!("the manager at {remote} does not answer: is it up, and does a firewall keep port {} closed?", remote.port())));
            }
        }
    }
    let last = last.unwrap_or_else(|| anyhow!("there is no manager to ask"));
    Err(Unanswered::Passing(last))
}

/// Whether the same question may be answered otherwise in a moment.
fn is_passing(status: &Status) -> bool {
    let code = status.code();
    weft_pki::explain(status).is_some()
        || [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
        ]
        .contains(&code)
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
