//! How a node whose certificate has expired shows that it is still who it was.

use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1;
use aws_lc_rs::signature::UnparsedPublicKey;
use x509_parser::parse_x509_certificate;

use crate::CertificateChain;
use crate::Credentials;
use crate::IdentityError;
use crate::NodeIdentity;
use crate::RequestError;
use crate::Trust;
use crate::issue::validity_of;
use crate::tls;
use crate::verify::check_chain;
use crate::when;

/// Before what is signed, so that no other signature of the key can be taken for this one.
const PURPOSE: &[u8] = b"weft: a member asks for a new certificate, 1\0";

/// A proof that proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The certificate names no node.
    #[error("the certificate in the proof names no node")]
    Identity(#[from] IdentityError),
    /// This cluster never issued the certificate.
    #[error("the certificate in the proof was not issued by a root that this cluster trusts")]
    OtherRoot(#[source] rustls::Error),
    /// The key is another one than that of the certificate.
    #[error("the certificate request is not signed with the key of the node's last certificate")]
    OtherKey,
}

impl Credentials {
    /// Signs a certificate request with the key of this certificate, expired or not: proof that
    /// whoever asks is the node that had it. It is worth something only together with the key
    /// of the request.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn prove(&self, request: &[u8]) -> Result<Vec<u8>, RequestError> {
        self.key().sign(&message(request))
    }
}

/// The node that signed `request`, whose last certificate was `chain`: one that a root of `trust`
/// issued, however long ago. Whether it still is a member is for the caller to know.
///
/// # Errors
/// The certificate is of another authority, or the signature of another key.
pub fn verify_proof(
    trust: &Trust,
    chain: &CertificateChain,
    request: &[u8],
    signature: &[u8],
) -> Result<NodeIdentity, ProofError> {
    let [leaf, rest @ ..] = chain.certificates() else {
        return Err(IdentityError::NotACertificate.into());
    };
    let identity = NodeIdentity::from_certificate(leaf)?;
    let (not_before, _) = validity_of(leaf).ok_or(IdentityError::NotACertificate)?;
    let store = trust.store().map_err(ProofError::OtherRoot)?;
    let algorithms = tls::provider().signature_verification_algorithms;
    // Expired is the point of it: judged as of the day it was made.
    check_chain(leaf, rest, &store, when::unix_time(not_before), algorithms)
        .map_err(ProofError::OtherRoot)?;
    let (_, parsed) = parse_x509_certificate(leaf).map_err(|_| IdentityError::NotACertificate)?;
    let key = &parsed.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&message(request), signature)
        .map_err(|_| ProofError::OtherKey)?;
    Ok(identity)
}

fn message(request: &[u8]) -> Vec<u8> {
    [PURPOSE, request].concat()
}
