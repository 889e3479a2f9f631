//! The two sides' judges of the other side's certificate.

use std::sync::Arc;

use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::ParsedCertificate;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use weft_proto::ClusterId;
use weft_proto::Role;

use crate::NodeIdentity;
use crate::Refusal;
use crate::RootCert;
use crate::RootDigest;
use crate::transport::Expect;
use crate::user::Holder;

/// Checks signatures, dates and usage of a server's chain, and nothing about names.
pub(crate) fn check_chain(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    root: &RootCertStore,
    now: UnixTime,
    algorithms: WebPkiSupportedAlgorithms,
) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(leaf)?;
    verify_server_cert_signed_by_trust_anchor(&parsed, root, rest, now, algorithms.all)
}

/// Checks that a caller's certificate is one of this cluster: a node's or a person's.
fn check_cluster(leaf: &CertificateDer<'_>, cluster: ClusterId) -> Result<(), Refusal> {
    let found = Holder::from_certificate(leaf).map_err(Refusal::Identity)?;
    let found = found.cluster();
    if found == cluster {
        return Ok(());
    }
    Err(Refusal::OtherCluster {
        expected: cluster,
        found,
    })
}

/// Checks that the certificate is of this cluster and of the one who was called.
fn check_identity(
    leaf: &CertificateDer<'_>,
    cluster: ClusterId,
    expect: Expect,
) -> Result<(), Refusal> {
    let found = NodeIdentity::from_certificate(leaf).map_err(Refusal::Identity)?;
    if found.cluster != cluster {
        return Err(Refusal::OtherCluster {
            expected: cluster,
            found: found.cluster,
        });
    }
    let Expect { role, node } = expect;
    // A role is asked for, not "at least": who dials a worker must not get a manager's answers.
    if found.role != role {
        return Err(Refusal::OtherRole {
            expected: role,
            found,
        });
    }
    match node {
        Some(expected) if expected != found.node => Err(Refusal::OtherNode { expected, found }),
        Some(_) | None => Ok(()),
    }
}

/// What a calling node demands of the server's certificate. Names and addresses do not matter:
/// the identity does.
#[derive(Debug)]
pub(crate) struct NodeVerifier {
    pub(crate) root: RootCertStore,
    pub(crate) cluster: ClusterId,
    pub(crate) expect: Expect,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// What a joining node demands: a chain that leads to exactly the pinned root, and a manager.
#[derive(Debug)]
pub(crate) struct PinnedRootVerifier {
    pub(crate) digest: RootDigest,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// What a listening node demands of a client's certificate, if there is one.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) cluster: ClusterId,
}

impl NodeVerifier {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        check_chain(leaf, rest, &self.root, now, self.algorithms)?;
        check_identity(leaf, self.cluster, self.expect).map_err(Refusal::into_tls)
    }
}

impl PinnedRootVerifier {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        // Not always the last one: while the cluster changes its root, both are sent.
        let Some(pinned) = rest.iter().find(|one| RootDigest::of(one) == self.digest) else {
            let refusal = Refusal::RootNotPinned {
                expected: self.digest,
                found: RootDigest::of(rest.last().unwrap_or(leaf)),
            };
            return Err(refusal.into_tls());
        };
        let root = RootCert::from_der(pinned.clone().into_owned())
            .map_err(|_| rustls::Error::from(rustls::CertificateError::BadEncoding))?;
        check_chain(leaf, rest, &root.store()?, now, self.algorithms)?;
        let manager = Expect {
            role: Role::Manager,
            node: None,
        };
        check_identity(leaf, root.cluster(), manager).map_err(Refusal::into_tls)
    }
}

/// The part of the two server verifiers that does not differ.
macro_rules! server_verifier {
    ($name:ident) => {
        impl ServerCertVerifier for $name {
            fn verify_server_cert(
                &self,
                leaf: &CertificateDer<'_>,
                rest: &[CertificateDer<'_>],
                _name: &ServerName<'_>,
                _ocsp: &[u8],
                now: UnixTime,
            ) -> Result<ServerCertVerified, rustls::Error> {
                self.check(leaf, rest, now)?;
                Ok(ServerCertVerified::assertion())
            }

            fn verify_tls12_signature(
                &self,
                message: &[u8],
                leaf: &CertificateDer<'_>,
                signed: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, rustls::Error> {
                verify_tls12_signature(message, leaf, signed, &self.algorithms)
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                leaf: &CertificateDer<'_>,
                signed: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, rustls::Error> {
                verify_tls13_signature(message, leaf, signed, &self.algorithms)
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.algorithms.supported_schemes()
            }
        }
    };
}
server_verifier!(NodeVerifier);
server_verifier!(PinnedRootVerifier);

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(leaf, rest, now)?;
        check_cluster(leaf, self.cluster).map_err(Refusal::into_tls)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
