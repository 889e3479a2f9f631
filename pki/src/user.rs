//! People: who a certificate says somebody is, and what she proves it with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use weft_proto::ClusterId;
use weft_proto::Name;
use weft_proto::object::KeyDigest;
use x509_parser::parse_x509_certificate;

use crate::CertificateChain;
use crate::CredentialsError;
use crate::IdentityError;
use crate::NodeIdentity;
use crate::PrivateKey;
use crate::RootCert;
use crate::identity::SCHEME;
use crate::identity::bad;
use crate::identity::only_uri;
use crate::issue::validity_of;
use crate::tls;
use crate::when;

/// A person's identity: `spiffe://<cluster>/user/<name>` in her certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserIdentity {
    /// The cluster she uses.
    pub cluster: ClusterId,
    /// Her name in it.
    pub name: Name,
}

impl UserIdentity {
    /// The URI form.
    pub fn uri(&self) -> String {
        self.to_string()
    }
}

impl FromStr for UserIdentity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let parse = || {
            let mut parts = uri.strip_prefix(SCHEME)?.split('/');
            let cluster = parts.next()?.parse().ok()?;
            if parts.next()? != KIND {
                return None;
            }
            let name = parts.next()?.parse().ok()?;
            parts
                .next()
                .is_none()
                .then_some(UserIdentity { cluster, name })
        };
        parse().ok_or_else(|| bad(uri))
    }
}

impl fmt::Display for UserIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{KIND}/{}", self.cluster, self.name)
    }
}

/// What stands in the place of a node's role.
const KIND: &str = "user";

/// A person as her certificate proved her: her identity, and the key that she has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserProof {
    /// Who she says she is.
    pub identity: UserIdentity,
    /// The key of the certificate. Whether it is hers still, the state says.
    pub key: KeyDigest,
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Node(NodeIdentity),
    User(UserProof),
}

impl Holder {
    /// Reads it out of a certificate. Says nothing about who issued it.
    pub(crate) fn from_certificate(
        certificate: &CertificateDer<'_>,
    ) -> Result<Self, IdentityError> {
        let uri = only_uri(certificate)?;
        if let Ok(node) = uri.parse() {
            return Ok(Holder::Node(node));
        }
        Ok(Holder::User(UserProof {
            identity: uri.parse()?,
            key: key_digest(certificate)?,
        }))
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        match self {
            Holder::Node(node) => node.cluster,
            Holder::User(user) => user.identity.cluster,
        }
    }
}

/// Which key a certificate is for.
///
/// # Errors
/// The bytes are no certificate.
pub fn key_digest(certificate: &CertificateDer<'_>) -> Result<KeyDigest, IdentityError> {
    let (_, certificate) =
        parse_x509_certificate(certificate).map_err(|_| IdentityError::NotACertificate)?;
    let digest = digest::digest(&digest::SHA256, certificate.public_key().raw);
    let bytes = digest.as_ref().try_into();
    Ok(KeyDigest::from_bytes(
        bytes.map_err(|_| IdentityError::NotACertificate)?,
    ))
}

/// A person's key, her certificate, and the roots she trusts; checked to fit together. `Debug` shows
/// no key.
#[derive(Clone)]
pub struct UserCredentials {
    identity: UserIdentity,
    key: PrivateKey,
    chain: CertificateChain,
    roots: Vec<RootCert>,
    certified: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl UserCredentials {
    /// Puts key, chain and roots together and checks that they fit. Does not look at the clock.
    ///
    /// # Errors
    /// Which two do not belong together.
    pub fn new(
        key: PrivateKey,
        chain: CertificateChain,
        roots: Vec<RootCert>,
    ) -> Result<Self, CredentialsError> {
        let provider = tls::provider();
        let [leaf, rest @ ..] = chain.certificates() else {
            return Err(CredentialsError::NotAUser(IdentityError::NotACertificate));
        };
        let identity: UserIdentity = only_uri(leaf)
            .and_then(|uri| uri.parse())
            .map_err(CredentialsError::NotAUser)?;
        if roots.iter().any(|root| root.cluster() != identity.cluster) {
            return Err(CredentialsError::OtherCluster);
        }
        let (not_before, not_after) = validity_of(leaf).ok_or(CredentialsError::Dates)?;
        let store = store(&roots).map_err(CredentialsError::OtherRoot)?;
        tls::client_judge(store, &provider)
            .and_then(|judge| judge.verify_client_cert(leaf, rest, when::unix_time(not_before)))
            .map_err(CredentialsError::OtherRoot)?;
        let certified = CertifiedKey::from_der(chain.certificates().to_vec(), key.der(), &provider)
            .map_err(CredentialsError::KeyMismatch)?;
        Ok(Self {
            identity,
            key,
            chain,
            roots,
            certified: Arc::new(certified),
            not_before,
            not_after,
        })
    }

    /// Who she is.
    pub fn identity(&self) -> &UserIdentity {
        &self.identity
    }

    /// Her private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Her certificate and what vouches for it.
    pub fn chain(&self) -> &CertificateChain {
        &self.chain
    }

    /// The roots that she trusts.
    pub fn roots(&self) -> &[RootCert] {
        &self.roots
    }

    /// From when the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when the certificate is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    pub(crate) fn store(&self) -> Result<RootCertStore, rustls::Error> {
        store(&self.roots)
    }
}

fn store(roots: &[RootCert]) -> Result<RootCertStore, rustls::Error> {
    let mut all = RootCertStore::empty();
    for root in roots {
        all.extend(root.store()?.roots);
    }
    Ok(all)
}

impl fmt::Debug for UserCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCredentials")
            .field("identity", &self.identity)
            .field("not_after", &when::show(&self.not_after))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity(cluster: u128, name: &str) -> UserIdentity {
        UserIdentity {
            cluster: ClusterId::from_entropy(cluster),
            name: name.parse().unwrap(),
        }
    }

    #[test]
    fn an_identity_survives_a_round_trip_and_is_no_nodes() {
        let alice = identity(7, "alice");
        assert_eq!(alice.uri().parse(), Ok(alice.clone()));
        assert!(alice.uri().parse::<NodeIdentity>().is_err());
        for wrong in [
            format!("{alice}/"),
            format!("{alice}/x"),
            alice.uri().replace("user", "manager"),
            alice.uri().replace("alice", "Alice"),
            alice.uri().replace("alice", ""),
        ] {
            assert!(wrong.parse::<UserIdentity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_is_no_node_and_a_node_no_person() {
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_184_566);
        let hour = std::time::Duration::from_secs(3600);
        let cluster = ClusterId::from_entropy(7);
        let root = crate::Root::create(cluster, now).unwrap();
        let key = PrivateKey::generate().unwrap();
        let csr = crate::certificate_request(&key).unwrap();
        let alice = identity(7, "alice");
        let hers = crate::issue_user(&root, &csr, &alice, now, hour).unwrap();
        let node = NodeIdentity {
            cluster,
            role: weft_proto::Role::Manager,
            node: weft_proto::NodeId::from_entropy(1),
        };
        let its = crate::issue(&root, &csr, &node, now, hour).unwrap();
        let trusted = root.cert().clone();
        let roots = vec![trusted.clone()];
        let own = UserCredentials::new(key.clone(), hers.clone(), roots.clone()).unwrap();
        assert_eq!(own.identity(), &alice);
        assert_eq!(Some(own.not_after()), hers.not_after());
        assert!(matches!(
            UserCredentials::new(key.clone(), its.clone(), roots),
            Err(CredentialsError::NotAUser(_))
        ));
        assert!(matches!(
            crate::Credentials::new(key.clone(), hers.clone(), trusted),
            Err(CredentialsError::Identity(_))
        ));
        // Both are for the same key, which is what the state knows a person by.
        let digest = |chain: &CertificateChain| key_digest(&chain.certificates()[0]).unwrap();
        assert_eq!(digest(&hers), digest(&its));
        let other = crate::Root::create(cluster, now).unwrap();
        let strangers = vec![other.cert().clone()];
        assert!(matches!(
            UserCredentials::new(key, hers, strangers),
            Err(CredentialsError::OtherRoot(_))
        ));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            prop_assert!(text.parse::<UserIdentity>().is_err());
        }
    }
}
