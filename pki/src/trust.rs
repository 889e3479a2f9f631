//! Whose certificates a node accepts: one root, or two while the cluster changes from one to the
//! other.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use weft_proto::ClusterId;
use weft_proto::object::Fingerprint;

use crate::RootCert;
use crate::RootDigest;
use crate::RootError;

/// The roots whose certificates are accepted, the issuing one first. Never empty, and all of one
/// cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    first: RootCert,
    others: Vec<RootCert>,
}

/// A list of roots that nobody can go by.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// There is no root in it.
    #[error("there is no root certificate")]
    Empty,
    /// One of them cannot be read.
    #[error("a root certificate cannot be read")]
    Root(#[from] RootError),
    /// The text is not PEM.
    #[error("this is not a list of certificates in PEM form (BEGIN CERTIFICATE)")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// They are of several clusters.
    #[error("the roots are of different clusters, {one} and {other}")]
    Clusters {
        /// The first one's.
        one: ClusterId,
        /// Another one's.
        other: ClusterId,
    },
}

impl Trust {
    /// Trusts these roots, the issuing one first.
    ///
    /// # Errors
    /// There is none, or they are of different clusters.
    pub fn new(roots: impl IntoIterator<Item = RootCert>) -> Result<Self, TrustError> {
        let mut roots = roots.into_iter();
        let first = roots.next().ok_or(TrustError::Empty)?;
        let mut others: Vec<RootCert> = Vec::new();
        for root in roots {
            if root.cluster() != first.cluster() {
                return Err(TrustError::Clusters {
                    one: first.cluster(),
                    other: root.cluster(),
                });
            }
            if root != first && !others.contains(&root) {
                others.push(root);
            }
        }
        Ok(Self { first, others })
    }

    /// Reads what came over the wire.
    ///
    /// # Errors
    /// As [`Trust::new`], or one of them is no root.
    pub fn from_der(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, TrustError> {
        let read = |der: Vec<u8>| RootCert::from_der(CertificateDer::from(der));
        let roots: Result<Vec<_>, _> = roots.into_iter().map(read).collect();
        Self::new(roots?)
    }

    /// Reads what [`Trust::to_pem`] wrote.
    ///
    /// # Errors
    /// As [`Trust::from_der`], or the text is not PEM.
    pub fn from_pem(text: &str) -> Result<Self, TrustError> {
        let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let roots: Result<Vec<_>, _> = ders
            .map_err(TrustError::Pem)?
            .into_iter()
            .map(RootCert::from_der)
            .collect();
        Self::new(roots?)
    }

    /// The roots as PEM, one after the other.
    pub fn to_pem(&self) -> String {
        self.roots().map(RootCert::to_pem).collect()
    }

    /// The root that issues.
    pub fn first(&self) -> &RootCert {
        &self.first
    }

    /// All of them, the issuing one first.
    pub fn roots(&self) -> impl Iterator<Item = &RootCert> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What they are called by.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.roots().map(|root| root.digest().into()).collect()
    }

    /// Whether this very root is among them.
    pub fn has(&self, root: RootDigest) -> bool {
        self.roots().any(|one| one.digest() == root)
    }

    /// Their cluster.
    pub fn cluster(&self) -> ClusterId {
        self.first.cluster()
    }

    pub(crate) fn store(&self) -> Result<RootCertStore, rustls::Error> {
        let mut store = RootCertStore::empty();
        for root in self.roots() {
            store.add(root.der().clone())?;
        }
        Ok(store)
    }
}

impl From<RootCert> for Trust {
    fn from(root: RootCert) -> Self {
        Trust {
            first: root,
            others: Vec::new(),
        }
    }
}

impl From<RootDigest> for Fingerprint {
    fn from(digest: RootDigest) -> Self {
        Fingerprint::from_bytes(*digest.as_bytes())
    }
}

impl From<Fingerprint> for RootDigest {
    fn from(print: Fingerprint) -> Self {
        RootDigest::from_bytes(*print.as_bytes())
    }
}
