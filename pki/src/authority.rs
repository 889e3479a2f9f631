//! The cluster as a certificate authority: which root issues at this moment, and whom to trust.

use std::time::Duration;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use weft_proto::object::Cluster;
use weft_proto::object::RotationStage;
use weft_proto::wire;

use crate::CertificateChain;
use crate::IssueError;
use crate::NodeIdentity;
use crate::Root;
use crate::RootCert;
use crate::RootError;
use crate::Trust;
use crate::TrustError;
use crate::UserIdentity;
use crate::issue;
use crate::issue_user;

/// What issues a cluster's certificates, as its state says.
#[derive(Clone, Debug)]
pub struct Authority {
    root: Root,
    /// Sent along with every certificate, so that who trusts only the root of before accepts it:
    /// nodes whose trust is old, and machines that join with a token of that root.
    vouchers: Vec<CertificateDer<'static>>,
    trust: Trust,
    policy: wire::CertificatePolicy,
}

/// The state has no authority that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A root or its key cannot be read.
    #[error("the cluster's own root cannot be read")]
    Root(#[from] RootError),
    /// The roots do not fit together.
    #[error("the cluster's roots do not fit together")]
    Trust(#[from] TrustError),
}

impl Authority {
    /// Reads it out of the cluster's state.
    ///
    /// # Errors
    /// A root, or the key of the one that issues, cannot be used.
    pub fn of(cluster: &Cluster) -> Result<Self, AuthorityError> {
        let current = read(&cluster.root_certificate)?;
        let policy = policy(cluster);
        let Some(rotation) = &cluster.rotation else {
            return Ok(Self {
                root: Root::from_parts(current.clone(), &cluster.root_key)?,
                vouchers: Vec::new(),
                trust: current.into(),
                policy,
            });
        };
        let next = read(&rotation.certificate)?;
        Ok(match rotation.stage {
            RotationStage::Spreading | RotationStage::Returning => Self {
                root: Root::from_parts(current.clone(), &cluster.root_key)?,
                vouchers: Vec::new(),
                trust: Trust::new([current, next])?,
                policy,
            },
            RotationStage::Issuing => Self {
                root: Root::from_parts(next.clone(), &rotation.key)?,
                vouchers: vec![
                    CertificateDer::from(rotation.cross.clone()),
                    current.der().clone(),
                ],
                trust: Trust::new([next, current])?,
                policy,
            },
        })
    }

    /// Issues a certificate; see [`issue`](crate::issue).
    ///
    /// # Errors
    /// As there.
    pub fn issue(
        &self,
        request: &[u8],
        identity: &NodeIdentity,
        now: SystemTime,
        ttl: Duration,
    ) -> Result<CertificateChain, IssueError> {
        let chain = issue(&self.root, request, identity, now, ttl)?;
        Ok(chain.followed_by(&self.vouchers))
    }

    /// Issues a person's certificate; see [`issue_user`](crate::issue_user).
    ///
    /// # Errors
    /// As there.
    pub fn issue_user(
        &self,
        request: &[u8],
        identity: &UserIdentity,
        now: SystemTime,
        ttl: Duration,
    ) -> Result<CertificateChain, IssueError> {
        let chain = issue_user(&self.root, request, identity, now, ttl)?;
        Ok(chain.followed_by(&self.vouchers))
    }

    /// The roots that every node is to trust, the issuing one first.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The same as nodes are told.
    pub fn policy(&self) -> &wire::CertificatePolicy {
        &self.policy
    }
}

fn read(der: &[u8]) -> Result<RootCert, RootError> {
    RootCert::from_der(CertificateDer::from(der.to_vec()))
}

/// What the certificates of all nodes should be. Reads nothing but the order of the roots.
pub fn policy(cluster: &Cluster) -> wire::CertificatePolicy {
    let current = cluster.root_certificate.clone();
    let trusted_der = match &cluster.rotation {
        None => vec![current],
        Some(rotation) => {
            let next = rotation.certificate.clone();
            match rotation.stage {
                RotationStage::Spreading | RotationStage::Returning => vec![current, next],
                RotationStage::Issuing => vec![next, current],
            }
        }
    };
    let ttl = cluster.settings.certificate_ttl.as_millis();
    wire::CertificatePolicy {
        version: cluster.meta.version,
        trusted_der,
        ttl_ms: u64::try_from(ttl).unwrap_or(u64::MAX),
    }
}
