//! Why a peer's certificate was not accepted, in words for a person.

use std::time::SystemTime;

use rustls::CertificateError;
use rustls::OtherError;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;

use crate::IdentityError;
use crate::NodeIdentity;
use crate::RootDigest;
use crate::when;
use crate::when::apart;
use crate::when::show;

/// Why a peer's certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It ran out.
    #[error(
        "its certificate expired at {}, and it is {} here, {} later: the node was away for too long, or a clock is wrong",
        show(.not_after), show(.now), apart(.not_after, .now)
    )]
    Expired {
        /// The verifier's clock.
        now: SystemTime,
        /// When it ran out.
        not_after: SystemTime,
    },
    /// It begins in the future.
    #[error(
        "its certificate is valid only from {}, but it is {} here, {} earlier: one of the two clocks is wrong",
        show(.not_before), show(.now), apart(.now, .not_before)
    )]
    NotYetValid {
        /// The verifier's clock.
        now: SystemTime,
        /// When it begins.
        not_before: SystemTime,
    },
    /// Another root signed it.
    #[error("its certificate was not issued by this cluster's root: it belongs to another cluster")]
    OtherRoot,
    /// It has no identity of a node.
    #[error("its certificate names no node, nor a user who calls one")]
    Identity(#[source] IdentityError),
    /// It is of another cluster.
    #[error("it belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The cluster asked for.
        expected: ClusterId,
        /// The certificate's.
        found: ClusterId,
    },
    /// It has another role.
    #[error("node {} is a {}, but a {expected} was expected", found.node, found.role)]
    OtherRole {
        /// The role asked for.
        expected: Role,
        /// Who answered.
        found: NodeIdentity,
    },
    /// It is another node.
    #[error("node {} answered, but node {expected} was expected: the address is another machine's now", found.node)]
    OtherNode {
        /// The node asked for.
        expected: NodeId,
        /// Who answered.
        found: NodeIdentity,
    },
    /// The cluster no longer wants it.
    #[error("node {} was removed from the cluster, or is no {} any more", identity.node, identity.role)]
    Revoked {
        /// Who answered.
        identity: NodeIdentity,
    },
    /// The chain does not end in the root that a join token pins.
    #[error(
        "its root certificate is not the one that the join token names: this is another cluster, or someone in \
         between; or the cluster has changed its root since the token was made, and \"weft cluster \
         join-token\" on a manager prints a new one"
    )]
    RootNotPinned {
        /// The token's digest.
        expected: RootDigest,
        /// The digest of the last certificate sent.
        found: RootDigest,
    },
}

impl Refusal {
    /// What happened in TLS terms; the peer is told no more than "certificate unknown".
    pub(crate) fn into_tls(self) -> rustls::Error {
        let error = OtherError(std::sync::Arc::new(self));
        rustls::Error::InvalidCertificate(CertificateError::Other(error))
    }

    /// Reads back what [`Refusal::into_tls`] or the TLS library's own checks said.
    pub(crate) fn from_tls(error: &rustls::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(error) = error else {
            return None;
        };
        // Only the errors about dates, issuer and ours have better words than the library's.
        #[expect(clippy::wildcard_enum_match_arm, reason = "foreign and non-exhaustive")]
        match error {
            CertificateError::ExpiredContext { time, not_after } => Some(Refusal::Expired {
                now: when::system_time(*time),
                not_after: when::system_time(*not_after),
            }),
            CertificateError::NotValidYetContext { time, not_before } => {
                Some(Refusal::NotYetValid {
                    now: when::system_time(*time),
                    not_before: when::system_time(*not_before),
                })
            }
            // Roots of two clusters have different names; of one cluster, different keys.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Some(Refusal::OtherRoot)
            }
            CertificateError::Other(OtherError(ours)) => ours.downcast_ref::<Refusal>().cloned(),
            _ => None,
        }
    }
}
