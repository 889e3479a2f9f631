//! Who a certificate says its holder is.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

pub(crate) const SCHEME: &str = "spiffe://";

/// A node's identity: `spiffe://<cluster>/manager|worker/<node>` in its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    /// The cluster the node belongs to.
    pub cluster: ClusterId,
    /// What the node may be.
    pub role: Role,
    /// The node.
    pub node: NodeId,
}

/// A certificate or text that names no node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not one X.509 certificate.
    #[error("this is not an X.509 certificate")]
    NotACertificate,
    /// The certificate names no holder, several, or one that is not a URI.
    #[error("the certificate must name its holder by exactly one URI")]
    NotOneUri,
    /// The URI has another form.
    #[error(
        "{uri:?} is no identity: expected spiffe://CLUSTER/manager|worker/NODE, or user/NAME in \
         their place"
    )]
    BadUri {
        /// The URI, shortened.
        uri: String,
    },
}

impl NodeIdentity {
    /// Reads the identity out of a certificate. Says nothing about who issued it.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        only_uri(certificate)?.parse()
    }

    /// The URI form.
    pub fn uri(&self) -> String {
        self.to_string()
    }
}

/// The trust domain of a cluster, which its root certificate names: `spiffe://<cluster>`.
pub(crate) fn cluster_uri(cluster: ClusterId) -> String {
    format!("{SCHEME}{cluster}")
}

/// Reads a root certificate's cluster.
pub(crate) fn cluster_of(certificate: &CertificateDer<'_>) -> Result<ClusterId, IdentityError> {
    let uri = only_uri(certificate)?;
    uri.strip_prefix(SCHEME)
        .and_then(|cluster| cluster.parse().ok())
        .ok_or_else(|| bad(&uri))
}

pub(crate) fn only_uri(certificate: &CertificateDer<'_>) -> Result<String, IdentityError> {
    let (rest, certificate) =
        parse_x509_certificate(certificate).map_err(|_| IdentityError::NotACertificate)?;
    if !rest.is_empty() {
        return Err(IdentityError::NotACertificate);
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::NotOneUri)?
        .ok_or(IdentityError::NotOneUri)?;
    // Not just one URI among other names: a name that no code of ours checks must not be there.
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        return Err(IdentityError::NotOneUri);
    };
    Ok((*uri).to_owned())
}

impl FromStr for NodeIdentity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let parse = || {
            let mut parts = uri.strip_prefix(SCHEME)?.split('/');
            let identity = NodeIdentity {
                cluster: parts.next()?.parse().ok()?,
                role: parts.next()?.parse().ok()?,
                node: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(identity)
        };
        parse().ok_or_else(|| bad(uri))
    }
}

/// Keeps messages bounded, whatever a peer sent.
pub(crate) fn bad(uri: &str) -> IdentityError {
    IdentityError::BadUri {
        uri: uri.chars().take(120).collect(),
    }
}

impl fmt::Display for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.role, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity(cluster: u128, node: u128, manager: bool) -> NodeIdentity {
        NodeIdentity {
            cluster: ClusterId::from_entropy(cluster),
            role: if manager { Role::Manager } else { Role::Worker },
            node: NodeId::from_entropy(node),
        }
    }

    proptest! {
        #[test]
        fn an_identity_survives_a_round_trip_through_its_uri(c: u128, n: u128, m: bool) {
            let identity = identity(c, n, m);
            prop_assert_eq!(identity.uri().parse::<NodeIdentity>(), Ok(identity));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            prop_assert!(text.parse::<NodeIdentity>().is_err());
        }
    }

    #[test]
    fn anything_around_the_uri_is_refused() {
        let uri = identity(1, 2, true).uri();
        for wrong in [
            format!("{uri}/"),
            format!("{uri}?x"),
            format!(" {uri}"),
            uri.replace("manager", "Manager"),
            uri.replace("manager", "user"),
            uri.replace("spiffe", "SPIFFE"),
            uri.replace("spiffe://", "spiffe:///"),
        ] {
            assert!(wrong.parse::<NodeIdentity>().is_err(), "{wrong}");
        }
    }
}
