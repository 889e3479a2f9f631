//! The root of a cluster: the one certificate every node trusts, and the key behind it.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::digest;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyUsagePurpose;
use rcgen::SanType;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use weft_proto::ClusterId;
use zeroize::Zeroizing;

use crate::CertificateChain;
use crate::IdentityError;
use crate::KeyError;
use crate::PrivateKey;
use crate::identity::cluster_of;
use crate::identity::cluster_uri;
use crate::issue::CLOCK_SKEW_ALLOWANCE;
use crate::issue::IssueError;
use crate::issue::set_validity;

/// How long a root is valid: 20 years of 365.25 days. As long as Swarm's: a root is replaced by
/// rotation, on purpose, and must never be the thing that ends a forgotten cluster.
const ROOT_TTL: Duration = Duration::from_secs(20 * 31_557_600);

/// SHA-256 of a root certificate's DER form: what a join token pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootDigest([u8; 32]);

/// The public part of a cluster's root.
#[derive(Clone, PartialEq, Eq)]
pub struct RootCert {
    der: CertificateDer<'static>,
    cluster: ClusterId,
}

/// A cluster's certificate authority: its root certificate and the key that signs with it.
#[derive(Clone, Debug)]
pub struct Root {
    cert: RootCert,
    key: PrivateKey,
}

/// A root could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The key could not be made or read.
    #[error("the root's private key is not usable")]
    Key(#[from] KeyError),
    /// The root's dates could not be written into its certificate.
    #[error("the root's dates are impossible; check this machine's clock")]
    Dates(#[source] IssueError),
    /// The certificate could not be signed.
    #[error("cannot sign the root certificate")]
    Sign(#[source] rcgen::Error),
    /// The text holds no certificate in PEM form.
    #[error("this is not a certificate in PEM form (BEGIN CERTIFICATE)")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// The certificate does not name a cluster.
    #[error("this is not the root certificate of a cluster")]
    NotARoot(#[source] IdentityError),
    /// The certificate cannot serve as the root of trust.
    #[error("the root certificate cannot be used to verify others")]
    Anchor(#[source] rustls::Error),
    /// The chain has other roots than the one asked for.
    #[error("the certificate chain does not have the root that the join token names")]
    NotPinned,
    /// Certificate and key do not belong together.
    #[error("the root certificate was not made with this private key")]
    Mismatch,
}

impl Root {
    /// Makes the root of a new cluster, valid for 20 years from `now` (and for five minutes
    /// before it, so that machines whose clocks are behind accept it).
    pub fn create(cluster: ClusterId, now: SystemTime) -> Result<Self, RootError> {
        let key = PrivateKey::generate()?;
        let mut params = CertificateParams::default();
        let not_before = now.checked_sub(CLOCK_SKEW_ALLOWANCE).unwrap_or(now);
        set_validity(&mut params, not_before, now + ROOT_TTL).map_err(RootError::Dates)?;
        params.serial_number = Some(crate::issue::random_serial().map_err(RootError::Dates)?);
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, cluster.as_str());
        params
            .distinguished_name
            .push(DnType::CommonName, "Weft root");
        let name = cluster_uri(cluster).try_into().map_err(RootError::Sign)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        // One level below the root is allowed, so that an old root can vouch for a new one.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(key.pair()).map_err(RootError::Sign)?;
        let cert = RootCert::from_der(certificate.der().clone())?;
        Ok(Self { cert, key })
    }

    /// Reads what [`RootCert::to_pem`] and [`Root::key_pem`] wrote.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, RootError> {
        Self::from_parts(RootCert::from_pem(certificate)?, key)
    }

    /// Puts a certificate and its key, in PEM form, together.
    pub(crate) fn from_parts(cert: RootCert, key: &str) -> Result<Self, RootError> {
        let key = PrivateKey::from_pem(key)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&cert.der)
            .map_err(|_| RootError::NotARoot(IdentityError::NotACertificate))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.pair().public_key_raw() {
            return Err(RootError::Mismatch);
        }
        Ok(Self { cert, key })
    }

    /// The public part, which may go anywhere.
    pub fn cert(&self) -> &RootCert {
        &self.cert
    }

    /// The private key in PEM form, unencrypted: whoever holds it can be every node.
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.to_pem()
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }

    pub(crate) fn issuer(&self) -> Result<Issuer<'static, &rcgen::KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(&self.cert.der, self.key.pair())
    }
}

impl RootCert {
    /// Reads a root certificate and checks that it names a cluster and can anchor trust.
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, RootError> {
        let cluster = cluster_of(&der).map_err(RootError::NotARoot)?;
        let root = Self { der, cluster };
        root.store().map_err(RootError::Anchor)?;
        Ok(root)
    }

    /// Takes the root out of the chain that a joining node was given, if it has exactly the
    /// digest that the join token pins.
    pub fn pinned(chain: &CertificateChain, digest: RootDigest) -> Result<Self, RootError> {
        let mut after_leaf = chain.certificates().iter().skip(1);
        let pinned = after_leaf.find(|one| RootDigest::of(one) == digest);
        Self::from_der(pinned.ok_or(RootError::NotPinned)?.clone())
    }

    /// Reads the first certificate of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, RootError> {
        let der = CertificateDer::from_pem_slice(text.as_bytes()).map_err(RootError::Pem)?;
        Self::from_der(der)
    }

    /// The certificate in PEM form.
    pub fn to_pem(&self) -> String {
        crate::issue::pem_of(std::slice::from_ref(&self.der))
    }

    /// The certificate in DER form.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// From when until when it is valid. One whose dates cannot be read never is.
    pub fn validity(&self) -> (SystemTime, SystemTime) {
        let never = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        crate::issue::validity_of(&self.der).unwrap_or(never)
    }

    /// What join tokens pin.
    pub fn digest(&self) -> RootDigest {
        RootDigest::of(&self.der)
    }

    /// The cluster whose root this is.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub(crate) fn store(&self) -> Result<RootCertStore, rustls::Error> {
        let mut store = RootCertStore::empty();
        store.add(self.der.clone())?;
        Ok(store)
    }
}

impl RootDigest {
    /// The digest of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }

    /// Takes over 32 bytes of SHA-256.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RootDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for RootCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootCert")
            .field("cluster", &self.cluster)
            .field("digest", &self.digest())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_184_566)
    }

    #[test]
    fn a_root_survives_a_round_trip_through_pem() {
        let root = Root::create(ClusterId::from_entropy(7), now()).unwrap();
        let again = Root::from_pem(&root.cert().to_pem(), &root.key_pem()).unwrap();
        assert_eq!(again.cert(), root.cert());
        assert_eq!(again.cert().cluster(), ClusterId::from_entropy(7));
        assert_eq!(again.cert().digest(), root.cert().digest());
    }

    #[test]
    fn a_root_with_the_key_of_another_is_refused() {
        let one = Root::create(ClusterId::from_entropy(7), now()).unwrap();
        let two = Root::create(ClusterId::from_entropy(7), now()).unwrap();
        assert!(matches!(
            Root::from_pem(&one.cert().to_pem(), &two.key_pem()),
            Err(RootError::Mismatch)
        ));
    }

    #[test]
    fn two_roots_of_one_cluster_differ_in_their_digest() {
        let one = Root::create(ClusterId::from_entropy(7), now()).unwrap();
        let two = Root::create(ClusterId::from_entropy(7), now()).unwrap();
        assert_ne!(one.cert().digest(), two.cert().digest());
    }

    #[test]
    fn a_clock_before_1970_makes_an_error_and_no_root() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert!(matches!(
            Root::create(ClusterId::from_entropy(7), before),
            Err(RootError::Dates(_))
        ));
    }
}
