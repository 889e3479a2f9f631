//! Turning a certificate request into a node certificate.

use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::digest;
use aws_lc_rs::rand;
use rcgen::CertificateParams;
use rcgen::CertificateSigningRequestParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyUsagePurpose;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::PublicKeyData;
use rcgen::SanType;
use rcgen::SerialNumber;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use weft_proto::ClusterId;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::EntropyError;
use crate::NodeIdentity;
use crate::Root;
use crate::UserIdentity;
use crate::when;

/// How long a node certificate is valid unless the cluster is told otherwise: 24 h. Short enough
/// that a stolen one is soon worth nothing, long enough that a cluster without managers for a
/// night still has valid nodes in the morning.
pub const DEFAULT_CERTIFICATE_TTL: Duration = Duration::from_secs(24 * 3600);

/// Certificates begin to be valid this long before they are made: 5 min, so that a node whose
/// clock is a little behind can use one at once. Certificates that live less than 20 min are
/// backdated by a quarter of their lifetime only, so that half-life renewal stays in the future.
pub const CLOCK_SKEW_ALLOWANCE: Duration = Duration::from_secs(5 * 60);

/// Requests above this are refused unread. One of ours has about 220 bytes.
const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// Length of an uncompressed point on P-256: a tag and two coordinates.
const P256_POINT_BYTES: usize = 65;

/// A node certificate and its root, in that order.
///
/// The root is sent along in every handshake, so that a joining node, which knows only the root's
/// digest, can find it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateChain(Vec<CertificateDer<'static>>);

/// A text or list of certificates that is no chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The text is not PEM.
    #[error("this is not a chain of certificates in PEM form (BEGIN CERTIFICATE)")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// There is nothing in it.
    #[error("the certificate chain is empty")]
    Empty,
}

/// A certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request is longer than any honest one.
    #[error("the certificate request has {bytes} bytes; more than {MAX_REQUEST_BYTES} are refused")]
    RequestTooLong {
        /// How long it was.
        bytes: usize,
    },
    /// The request is damaged, or its signature does not fit its key.
    #[error("the certificate request is damaged or not signed by its own key")]
    BadRequest(#[source] rcgen::Error),
    /// The request's key is not ECDSA on P-256.
    #[error("the certificate request must be for an ECDSA P-256 key")]
    UnsupportedKey,
    /// The identity is one of another cluster than the root.
    #[error("cannot issue a certificate of cluster {asked} with the root of cluster {root}")]
    OtherCluster {
        /// The cluster asked for.
        asked: ClusterId,
        /// The root's cluster.
        root: ClusterId,
    },
    /// The validity would be empty or outside the years 1970 to 9999.
    #[error("the certificate's dates are impossible; check the clock and the lifetime")]
    Dates,
    /// No randomness.
    #[error("cannot draw a serial number")]
    Serial(#[source] EntropyError),
    /// Signing failed.
    #[error("cannot sign the certificate")]
    Sign(#[source] rcgen::Error),
}

/// Issues a certificate for the key in `request` (PKCS#10, DER), valid from a little before
/// `now` until `now + ttl`, or until the root ends.
///
/// Only the public key is taken out of the request, after its signature was checked; whatever
/// else it asks for is ignored. Who the holder is, is the caller's decision: `identity`.
pub fn issue(
    root: &Root,
    request: &[u8],
    identity: &NodeIdentity,
    now: SystemTime,
    ttl: Duration,
) -> Result<CertificateChain, IssueError> {
    let subject = Subject {
        cluster: identity.cluster,
        unit: identity.role.to_string(),
        name: identity.node.to_string(),
        uri: identity.uri(),
        usages: vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ],
    };
    certify(root, request, &subject, now, ttl)
}

/// As [`issue`], for a person: the certificate is good for calling, and for nothing else.
///
/// # Errors
/// As those of [`issue`].
pub fn issue_user(
    root: &Root,
    request: &[u8],
    identity: &UserIdentity,
    now: SystemTime,
    ttl: Duration,
) -> Result<CertificateChain, IssueError> {
    let subject = Subject {
        cluster: identity.cluster,
        unit: "user".to_owned(),
        name: identity.name.to_string(),
        uri: identity.uri(),
        usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    certify(root, request, &subject, now, ttl)
}

/// Whom a certificate is for, and what it is good for.
struct Subject {
    cluster: ClusterId,
    unit: String,
    name: String,
    uri: String,
    usages: Vec<ExtendedKeyUsagePurpose>,
}

fn certify(
    root: &Root,
    request: &[u8],
    subject: &Subject,
    now: SystemTime,
    ttl: Duration,
) -> Result<CertificateChain, IssueError> {
    if subject.cluster != root.cert().cluster() {
        return Err(IssueError::OtherCluster {
            asked: subject.cluster,
            root: root.cert().cluster(),
        });
    }
    let key = requested_key(request)?;
    let params = leaf_params(root, subject, now, ttl)?;
    let issuer = root.issuer().map_err(IssueError::Sign)?;
    let leaf = params.signed_by(&key, &issuer).map_err(IssueError::Sign)?;
    Ok(CertificateChain(vec![
        leaf.der().clone(),
        root.cert().der().clone(),
    ]))
}

/// Whether `request` can be answered at all: it is whole, signed by its own key, and for a key of
/// the kind that nodes have.
pub fn check_request(request: &[u8]) -> Result<(), IssueError> {
    requested_key(request).map(drop)
}

/// Bits that stand for the key in `request`: the same for every request with this key. `None`: it
/// is no request. The signature is not checked, so this proves nothing; [`issue`] checks it.
pub fn requested_key_bits(request: &[u8]) -> Option<u128> {
    if request.len() > MAX_REQUEST_BYTES {
        return None;
    }
    let (_, request) = X509CertificationRequest::from_der(request).ok()?;
    let key = request.certification_request_info.subject_pki;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"weft requested key 1\0");
    context.update(&key.subject_public_key.data);
    let digest = context.finish();
    let first = digest.as_ref().iter().take(16);
    Some(first.fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
}

fn requested_key(request: &[u8]) -> Result<rcgen::PublicKey, IssueError> {
    if request.len() > MAX_REQUEST_BYTES {
        return Err(IssueError::RequestTooLong {
            bytes: request.len(),
        });
    }
    let request = CertificateSigningRequestDer::from(request);
    // This checks the request's signature by its own key (proof of possession).
    let request =
        CertificateSigningRequestParams::from_der(&request).map_err(IssueError::BadRequest)?;
    let key = request.public_key;
    // The algorithm is that of the signature; a P-384 key may sign with SHA-256 too.
    let on_p256 = key.algorithm() == &PKCS_ECDSA_P256_SHA256
        && key.der_bytes().len() == P256_POINT_BYTES
        && key.der_bytes().first() == Some(&4);
    on_p256.then_some(key).ok_or(IssueError::UnsupportedKey)
}

fn leaf_params(
    root: &Root,
    holder: &Subject,
    now: SystemTime,
    ttl: Duration,
) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    let backdate = CLOCK_SKEW_ALLOWANCE.min(ttl / 4);
    let not_before = now.checked_sub(backdate).ok_or(IssueError::Dates)?;
    let (_, root_ends) = validity_of(root.cert().der()).ok_or(IssueError::Dates)?;
    let not_after = now.checked_add(ttl).map_or(root_ends, |t| t.min(root_ends));
    set_validity(&mut params, not_before, not_after)?;
    params.serial_number = Some(random_serial()?);
    // For people with an inspection tool; nothing of ours reads it.
    params.distinguished_name = DistinguishedName::new();
    let subject = &mut params.distinguished_name;
    subject.push(DnType::OrganizationName, holder.cluster.as_str());
    subject.push(DnType::OrganizationalUnitName, holder.unit.as_str());
    subject.push(DnType::CommonName, holder.name.as_str());
    let name = holder.uri.as_str().try_into().map_err(IssueError::Sign)?;
    params.subject_alt_names = vec![SanType::URI(name)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages.clone_from(&holder.usages);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Writes the dates into `params`, in whole seconds.
pub(crate) fn set_validity(
    params: &mut CertificateParams,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<(), IssueError> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let from = when::unix_seconds(not_before).ok_or(IssueError::Dates)?;
    let until = when::unix_seconds(not_after).ok_or(IssueError::Dates)?;
    if until <= from {
        return Err(IssueError::Dates);
    }
    params.not_before = epoch + Duration::from_secs(from);
    params.not_after = epoch + Duration::from_secs(until);
    Ok(())
}

/// 126 random bits: positive, as RFC 5280 demands, and never drawn twice.
pub(crate) fn random_serial() -> Result<SerialNumber, IssueError> {
    let mut bytes = [0u8; 16];
    rand::fill(&mut bytes).map_err(|_| IssueError::Serial(EntropyError))?;
    // Neither negative nor with a leading zero, which DER forbids.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// From when until when a certificate is valid.
pub(crate) fn validity_of(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    Some((
        when::from_asn1(validity.not_before),
        when::from_asn1(validity.not_after),
    ))
}

/// Certificates as PEM, one after the other.
pub(crate) fn pem_of(certificates: &[CertificateDer<'_>]) -> String {
    let blocks: Vec<_> = certificates
        .iter()
        .map(|der| pem::Pem::new("CERTIFICATE", der.to_vec()))
        .collect();
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_many_config(&blocks, config)
}

impl CertificateChain {
    /// Takes over a chain that came over the wire, leaf first. Checks nothing but that there is
    /// a leaf; [`Credentials::new`](crate::Credentials::new) checks the rest.
    pub fn from_der(certificates: Vec<Vec<u8>>) -> Result<Self, ChainError> {
        if certificates.is_empty() {
            return Err(ChainError::Empty);
        }
        Ok(Self(
            certificates.into_iter().map(CertificateDer::from).collect(),
        ))
    }

    /// Reads a PEM text, leaf first.
    pub fn from_pem(text: &str) -> Result<Self, ChainError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(ChainError::Pem)?;
        if certificates.is_empty() {
            return Err(ChainError::Empty);
        }
        Ok(Self(certificates))
    }

    /// The chain as PEM, leaf first.
    pub fn to_pem(&self) -> String {
        pem_of(&self.0)
    }

    /// Until when the first of them is valid; `None` for one that cannot be read.
    pub fn not_after(&self) -> Option<SystemTime> {
        Some(validity_of(self.0.first()?)?.1)
    }

    /// The certificates, leaf first.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}
