//! A node whose certificate has expired gets a new one, and stays the node that it is: with its
//! identity, its state and its tasks.

use crate::daemon::join::ask_one;
use crate::daemon::join::trust;
use crate::daemon::node::NodeHandle;
use crate::daemon::node::Running;
use anyhow::Context;
use anyhow::bail;
use std::net::SocketAddr;
use std::time::SystemTime;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::JoinToken;
use weft_pki::Keystore;
use weft_pki::PrivateKey;
use weft_pki::certificate_request;
use weft_proto::Role;
use weft_proto::wire;

impl NodeHandle {
    /// Whether this node's certificate has expired, so that nobody listens to it.
    pub(super) fn has_expired(&self, node: &Running) -> bool {
        self.clock.now() > node.credentials.current().not_after()
    }

    /// What a person must do about an expired certificate.
    pub(super) fn expired_note(&self, node: &Running) -> Option<String> {
        // A manager makes itself a new one as soon as it has the state.
        if !self.has_expired(node) || node.is_manager() {
            return None;
        }
        let managers = node.worker.managers();
        let manager = managers
            .first()
            .map_or("MANAGER:2377".to_owned(), SocketAddr::to_string);
        let role = Role::Worker;
        Some(format!(
            "this node's certificate has expired, so no manager listens to it; its tasks go on. Renew \
             it here with \"weft cluster join --token TOKEN {manager}\", with a token from \"weft \
             cluster join-token {role}\" on a manager; or correct the clock if it is wrong"
        ))
    }

    /// Asks for a new certificate with a token, and with proof of who this node is.
    pub(super) async fn reattest(
        &self,
        node: &Running,
        token: &str,
        remote: SocketAddr,
    ) -> anyhow::Result<wire::JoinResponse> {
        let pinned = JoinToken::parse(token)?;
        let old = node.credentials.current();
        let was = old.identity();
        if pinned.cluster() != was.cluster {
            bail!(
                "this node is of cluster {}, and the token is one of {}: to change the cluster, leave \
                 this one first (weft cluster leave --force)",
                was.cluster.short(),
                pinned.cluster().short()
            );
        }
        let key = PrivateKey::generate()?;
        let csr_der = certificate_request(&key)?;
        let chain = old.chain().certificates().iter();
        let proof = wire::NodeProof {
            chain_der: chain.map(|der| der.to_vec()).collect(),
            signature: old.prove(&csr_der)?,
        };
        let request = wire::IssueRequest {
            token: token.to_owned(),
            csr_der,
            description: Some((&self.description()).into()),
            data_addr: node.file.data_addr.to_string(),
            advertise_addr: node.file.advertise_addr.to_string(),
            proof: Some(proof),
        };
        let issued = ask_one(remote, &pinned, &request).await?;
        let trust = trust(&issued, &pinned)?;
        let chain = CertificateChain::from_der(issued.chain_der)?;
        let fresh = Credentials::new(key, chain, trust)?;
        if fresh.identity().node != was.node {
            bail!(
                "the manager at {remote} does not know how to renew expired certificates: update weft there, or ask another manager"
            );
        }
        let identity = fresh.identity();
        Keystore::new(self.config.paths.identity()).store(&fresh)?;
        node.credentials.swap(fresh)?;
        tracing::info!(%identity, "the expired certificate is renewed; this node goes on as it was");
        Ok(wire::JoinResponse {
            node_id: identity.node.to_string(),
            cluster_id: identity.cluster.to_string(),
            role: wire::NodeRole::from(identity.role).into(),
            again: true,
            waits: false,
        })
    }

    /// A manager that nobody listens to any more makes itself a certificate: it has the cluster's
    /// key. Without that, managers that were all off for a while could never agree on anything again.
    pub(super) async fn certify_itself(&self) -> anyhow::Result<()> {
        let running = self.running.lock().await;
        let Some((node, manager)) = running
            .as_ref()
            .and_then(|node| Some((node, node.manager.as_ref()?)))
        else {
            return Ok(());
        };
        let now = self.clock.now();
        let current = node.credentials.current();
        if is_valid(now, &current) {
            return Ok(());
        }
        let fresh = manager
            .certify(now)
            .context("make this manager a certificate")?;
        // None while its replica is empty, or does not know it as a manager.
        let Some(fresh) = fresh else {
            return Ok(());
        };
        Keystore::new(self.config.paths.identity()).store(&fresh)?;
        node.credentials.swap(fresh)?;
        tracing::warn!(
            "this manager's certificate was not valid any more, and it made itself a new one; if \
             that is a surprise, look at this machine's clock"
        );
        Ok(())
    }
}

/// Others may be a little behind, which is what the allowance is for.
fn is_valid(now: SystemTime, held: &Credentials) -> bool {
    now <= held.not_after() && now + weft_pki::CLOCK_SKEW_ALLOWANCE >= held.not_before()
}
