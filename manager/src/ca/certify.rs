//! A certificate made on the spot, where the cluster's key is at hand and no manager runs.

use std::time::SystemTime;
use weft_pki::Authority;
use weft_pki::Credentials;
use weft_pki::CredentialsError;
use weft_pki::IssueError;
use weft_pki::KeyError;
use weft_pki::NodeIdentity;
use weft_pki::PrivateKey;
use weft_pki::RequestError;
use weft_pki::certificate_request;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::object::Cluster;

/// A node whose certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum CertifyError {
    /// The cluster's root is damaged.
    #[error("the cluster's own root cannot be read")]
    Root(#[source] weft_pki::AuthorityError),
    /// No key for the node.
    #[error("cannot make the node's private key")]
    Key(#[from] KeyError),
    /// No certificate request.
    #[error("cannot ask for the node's certificate")]
    Request(#[from] RequestError),
    /// No certificate.
    #[error("cannot issue the node's certificate")]
    Issue(#[from] IssueError),
    /// The chain could not be used.
    #[error("the node's new certificate cannot be used")]
    Credentials(#[from] CredentialsError),
}

/// What the manager `node` of `cluster` proves its identity with from `now` on.
///
/// # Errors
/// The cluster's root cannot be used, or this machine has no randomness.
pub fn certify(
    cluster: &Cluster,
    node: NodeId,
    now: SystemTime,
) -> Result<Credentials, CertifyError> {
    let authority = Authority::of(cluster).map_err(CertifyError::Root)?;
    let key = PrivateKey::generate()?;
    let identity = NodeIdentity {
        cluster: cluster.id,
        role: Role::Manager,
        node,
    };
    let ttl = cluster.settings.certificate_ttl;
    let chain = authority.issue(&certificate_request(&key)?, &identity, now, ttl)?;
    Ok(Credentials::new(key, chain, authority.trust().clone())?)
}
