//! What a node proves its identity with, and how it changes while connections are open.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use rustls::time_provider::DefaultTimeProvider;
use rustls::time_provider::TimeProvider;
use tokio::sync::watch;
use weft_proto::object::Fingerprint;
use weft_proto::object::NodeCertificate;

use crate::CertificateChain;
use crate::IdentityError;
use crate::NodeIdentity;
use crate::PrivateKey;
use crate::RootCert;
use crate::RootDigest;
use crate::Trust;
use crate::issue::validity_of;
use crate::revoked::Revoked;
use crate::tls;
use crate::verify::check_chain;
use crate::when;

/// A node's key, its certificate chain and the roots it trusts; checked to fit together.
#[derive(Clone)]
pub struct Credentials {
    identity: NodeIdentity,
    key: PrivateKey,
    chain: CertificateChain,
    trust: Trust,
    issuer: Fingerprint,
    certified: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// The credentials in use. New connections, in and out, take the newest; open ones go on.
pub struct LiveCredentials {
    current: ArcSwap<InUse>,
    clock: Arc<dyn TimeProvider>,
    revoked: Revoked,
    summary: watch::Sender<NodeCertificate>,
}

struct InUse {
    credentials: Arc<Credentials>,
    server: Arc<ServerConfig>,
}

/// Key, chain and root do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The certificate was made for another key.
    #[error("the certificate does not belong to the private key")]
    KeyMismatch(#[source] rustls::Error),
    /// The certificate is not that of a node.
    #[error("the certificate does not name a node")]
    Identity(#[source] IdentityError),
    /// The certificate is not that of a person.
    #[error("the certificate does not name a user")]
    NotAUser(#[source] IdentityError),
    /// The certificate is of another cluster than the root.
    #[error("the certificate is of another cluster than the root")]
    OtherCluster,
    /// The certificate's dates cannot be read.
    #[error("the certificate's dates cannot be read")]
    Dates,
    /// The root did not issue the certificate.
    #[error("the certificate was not issued by the root")]
    OtherRoot(#[source] rustls::Error),
    /// TLS refused to be set up with them.
    #[error("TLS cannot be set up with these credentials")]
    Tls(#[source] rustls::Error),
}

impl Credentials {
    /// Puts key, chain and root together and checks that they fit. Does not look at the clock:
    /// a node whose certificate expired must still be able to say who it was.
    pub fn new(
        key: PrivateKey,
        chain: CertificateChain,
        trust: impl Into<Trust>,
    ) -> Result<Self, CredentialsError> {
        let trust = trust.into();
        let provider = tls::provider();
        let [leaf, rest @ ..] = chain.certificates() else {
            return Err(CredentialsError::Identity(IdentityError::NotACertificate));
        };
        let identity = NodeIdentity::from_certificate(leaf).map_err(CredentialsError::Identity)?;
        if identity.cluster != trust.cluster() {
            return Err(CredentialsError::OtherCluster);
        }
        let (not_before, not_after) = validity_of(leaf).ok_or(CredentialsError::Dates)?;
        let algorithms = provider.signature_verification_algorithms;
        let (store, at) = (trust.store(), when::unix_time(not_before));
        let store = store.map_err(CredentialsError::OtherRoot)?;
        check_chain(leaf, rest, &store, at, algorithms).map_err(CredentialsError::OtherRoot)?;
        // Vouchers aside; of a root that is not trusted itself, the one that was sent along.
        let issued = |root: &&RootCert| {
            let alone = root.store();
            alone.is_ok_and(|one| check_chain(leaf, &[], &one, at, algorithms).is_ok())
        };
        let issuer = trust.roots().find(issued).map(RootCert::digest);
        let issuer = issuer.unwrap_or_else(|| RootDigest::of(rest.first().unwrap_or(leaf)));
        let certified = CertifiedKey::from_der(chain.certificates().to_vec(), key.der(), &provider)
            .map_err(CredentialsError::KeyMismatch)?;
        Ok(Self {
            identity,
            key,
            chain,
            trust,
            issuer: issuer.into(),
            certified: Arc::new(certified),
            not_before,
            not_after,
        })
    }

    /// Who this node is.
    pub fn identity(&self) -> NodeIdentity {
        self.identity
    }

    /// The node's private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The node's certificate and what vouches for it.
    pub fn chain(&self) -> &CertificateChain {
        &self.chain
    }

    /// The root that this node trusts; the issuing one, while the cluster changes its root.
    pub fn root(&self) -> &RootCert {
        self.trust.first()
    }

    /// The roots that this node trusts.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The root that issued the certificate.
    pub fn issuer(&self) -> Fingerprint {
        self.issuer
    }

    /// The same key and certificate with trust in other roots.
    ///
    /// # Errors
    /// None of those roots vouches for the certificate.
    pub fn with_trust(&self, trust: Trust) -> Result<Self, CredentialsError> {
        Self::new(self.key.clone(), self.chain.clone(), trust)
    }

    /// What the cluster is to know of it.
    pub fn summary(&self) -> NodeCertificate {
        NodeCertificate {
            issuer: self.issuer,
            trusted: self.trust.fingerprints(),
            not_after: self.not_after.into(),
        }
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
}

impl LiveCredentials {
    /// Starts with `credentials`, judging dates by the system's clock.
    pub fn new(credentials: Credentials) -> Result<Arc<Self>, CredentialsError> {
        Self::with_clock(credentials, Arc::new(DefaultTimeProvider))
    }

    /// Starts with `credentials`, judging dates by `clock`.
    pub fn with_clock(
        credentials: Credentials,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Arc<Self>, CredentialsError> {
        let summary = watch::Sender::new(credentials.summary());
        let current = ArcSwap::from_pointee(InUse::new(credentials, &clock)?);
        Ok(Arc::new(Self {
            current,
            clock,
            revoked: Revoked::none(),
            summary,
        }))
    }

    /// Uses `credentials` for every connection from now on. On an error nothing has changed.
    pub fn swap(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        let summary = credentials.summary();
        self.current
            .store(Arc::new(InUse::new(credentials, &self.clock)?));
        self.summary.send_replace(summary);
        Ok(())
    }

    /// The credentials in use at this moment.
    pub fn current(&self) -> Arc<Credentials> {
        self.current.load().credentials.clone()
    }

    /// What the cluster is to know of them, now and whenever they change.
    pub fn summaries(&self) -> watch::Receiver<NodeCertificate> {
        self.summary.subscribe()
    }

    /// Refuses these identities from now on, in both directions, and only these: connections
    /// with them are cut at once. New ones to them are refused; new ones from them are marked in
    /// [`PeerIdentity::revoked`](crate::PeerIdentity), so that the answering side tells them, and
    /// end after a minute.
    ///
    /// A node that was removed is refused in both its roles, a demoted one as a manager. An entry
    /// is needed until the last certificate of that identity has expired.
    pub fn set_revoked(&self, identities: impl IntoIterator<Item = NodeIdentity>) {
        self.revoked.replace(identities.into_iter().collect());
    }

    pub(crate) fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.current.load().server.clone()
    }

    pub(crate) fn clock(&self) -> Arc<dyn TimeProvider> {
        self.clock.clone()
    }
}

impl InUse {
    fn new(
        credentials: Credentials,
        clock: &Arc<dyn TimeProvider>,
    ) -> Result<Self, CredentialsError> {
        let server =
            tls::server_config(&credentials, clock.clone()).map_err(CredentialsError::Tls)?;
        Ok(Self {
            credentials: Arc::new(credentials),
            server,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("identity", &self.identity)
            .field("not_after", &when::show(&self.not_after))
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LiveCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveCredentials")
            .field(&self.current())
            .finish()
    }
}
