//! The change of a cluster's root to another one, as steps from what is to what should be.
//!
//! ```text
//! none ──begin──► spreading ──every node trusts both──► issuing ──every node has a certificate
//!   ▲                 │                                    │      of the new root──► none, new root
//!   └─────abort───────┘                                    │
//!   ▲                                                    abort
//!   └──every node has a certificate of the old root── returning ◄┘
//! ```
//!
//! Where it is stands in the cluster's state, and what nodes hold in theirs, so that whoever leads
//! goes on where the one before was. Nothing here looks at a clock: a node that is away holds the
//! change up until it is back or was removed, and never ends up outside.

use std::fmt;
use std::time::SystemTime;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::DnValue;
use rcgen::IsCa;
use rcgen::KeyUsagePurpose;
use rcgen::SanType;
use rustls::pki_types::CertificateDer;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::object::Cluster;
use weft_proto::object::Fingerprint;
use weft_proto::object::Node;
use weft_proto::object::RootRotation;
use weft_proto::object::RotationStage;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::parse_x509_certificate;

use crate::CLOCK_SKEW_ALLOWANCE;
use crate::Credentials;
use crate::CredentialsError;
use crate::IssueError;
use crate::JoinToken;
use crate::KeyError;
use crate::NodeIdentity;
use crate::PrivateKey;
use crate::RequestError;
use crate::Root;
use crate::RootDigest;
use crate::RootError;
use crate::certificate_request;
use crate::identity::cluster_uri;
use crate::issue;
use crate::issue::random_serial;
use crate::issue::set_validity;
use crate::issue::validity_of;

/// A change of the root that cannot begin or be called off.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There is one already.
    #[error(
        "the root is being changed already: wait until it is done (weft cluster ca), or call it off \
         first (weft cluster ca --abort)"
    )]
    UnderWay,
    /// There is none.
    #[error("the root is not being changed, so there is nothing to call off")]
    NotUnderWay,
    /// The given root is of another cluster.
    #[error(
        "the given root is of cluster {found}, not of {expected}: its one subject alternative name \
         must be URI:spiffe://{expected}"
    )]
    OtherCluster {
        /// This cluster.
        expected: ClusterId,
        /// The certificate's.
        found: ClusterId,
    },
    /// It is the root that the cluster has.
    #[error("the given root is the one that the cluster has already")]
    SameRoot,
    /// It is no authority.
    #[error(
        "the given certificate may not issue others: it needs the basic constraint CA:TRUE and, if it \
         names key usages, keyCertSign"
    )]
    NotAnAuthority,
    /// It is not valid now, or soon no more.
    #[error("the given root is not valid now, or for less than a year: make one that lasts")]
    Dates,
    /// What it issues is not accepted.
    #[error("a certificate that the given root issued is not accepted")]
    Unusable(#[source] CredentialsError),
    /// The present root or the given one.
    #[error("a root cannot be read")]
    Root(#[from] RootError),
    /// No signature came about.
    #[error("the new root cannot be signed by the old one")]
    Sign(#[from] IssueError),
    /// No key to try the root with.
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    /// No request to try the root with.
    #[error("cannot make a certificate request")]
    Request(#[from] RequestError),
}

/// A node that the present stage waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// The node.
    pub node: &'a Node,
    /// What is missing.
    pub reason: Reason,
}

/// Why the present stage waits for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It never said what it holds.
    NotHeard,
    /// It does not trust the new root yet.
    Distrusts,
    /// Its certificate is still of the old root.
    OldCertificate,
    /// Its certificate is still of the new root, which was called off.
    NewCertificate,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reason::NotHeard => "never said which certificate it has",
            Reason::Distrusts => "does not trust the new root yet",
            Reason::OldCertificate => "has a certificate of the old root",
            Reason::NewCertificate => "has a certificate of the new root",
        })
    }
}

/// A root is used for at least so long.
const LASTS: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

/// The cluster with a change to `new` begun.
///
/// # Errors
/// One is under way, or `new` cannot be this cluster's root.
pub fn begin(cluster: &Cluster, new: &Root, now: SystemTime) -> Result<Cluster, RotationError> {
    if cluster.rotation.is_some() {
        return Err(RotationError::UnderWay);
    }
    check(cluster, new, now)?;
    let old = CertificateDer::from(cluster.root_certificate.clone());
    let old = Root::from_parts(crate::RootCert::from_der(old)?, &cluster.root_key)?;
    if old.cert() == new.cert() {
        return Err(RotationError::SameRoot);
    }
    let cross = cross_sign(&old, new, now)?;
    try_out(cluster.id, &old, new, &cross, now)?;
    let mut cluster = cluster.clone();
    cluster.rotation = Some(RootRotation {
        stage: RotationStage::Spreading,
        certificate: new.cert().der().to_vec(),
        key: new.key_pem().as_str().to_owned(),
        cross: cross.to_vec(),
        started: now.into(),
    });
    Ok(cluster)
}

/// The cluster with the change called off: at once while the new root has issued nothing, and
/// otherwise as soon as no node has a certificate of it. Calling off again changes nothing.
///
/// # Errors
/// There is none.
pub fn abort(cluster: &Cluster) -> Result<Cluster, RotationError> {
    let mut cluster = cluster.clone();
    let Some(rotation) = &mut cluster.rotation else {
        return Err(RotationError::NotUnderWay);
    };
    match rotation.stage {
        RotationStage::Spreading => cluster.rotation = None,
        RotationStage::Issuing | RotationStage::Returning => {
            rotation.stage = RotationStage::Returning;
        }
    }
    Ok(cluster)
}

/// The nodes that hold the present stage up; none without a change under way.
pub fn waiting<'a>(
    cluster: &Cluster,
    nodes: impl IntoIterator<Item = &'a Node>,
) -> Vec<Waiting<'a>> {
    let Some(rotation) = &cluster.rotation else {
        return Vec::new();
    };
    let old = fingerprint(&cluster.root_certificate);
    let new = fingerprint(&rotation.certificate);
    let missing = |node: &Node| {
        let Some(holds) = &node.certificate else {
            return Some(Reason::NotHeard);
        };
        match rotation.stage {
            RotationStage::Spreading if !holds.trusted.contains(&new) => Some(Reason::Distrusts),
            RotationStage::Issuing if holds.issuer != new => Some(Reason::OldCertificate),
            RotationStage::Returning if holds.issuer != old => Some(Reason::NewCertificate),
            RotationStage::Spreading | RotationStage::Issuing | RotationStage::Returning => None,
        }
    };
    let nodes = nodes.into_iter();
    nodes
        .filter_map(|node| missing(node).map(|reason| Waiting { node, reason }))
        .collect()
}

/// The cluster after the next step, when every node is ready for it.
pub fn step<'a>(cluster: &Cluster, nodes: impl IntoIterator<Item = &'a Node>) -> Option<Cluster> {
    let rotation = cluster.rotation.as_ref()?;
    if !waiting(cluster, nodes).is_empty() {
        return None;
    }
    let mut next = cluster.clone();
    match rotation.stage {
        RotationStage::Spreading => {
            next.rotation = Some(RootRotation {
                stage: RotationStage::Issuing,
                ..rotation.clone()
            });
        }
        RotationStage::Issuing => {
            next.root_certificate = rotation.certificate.clone();
            next.root_key = rotation.key.clone();
            let root = RootDigest::from(fingerprint(&rotation.certificate));
            for token in [&mut next.worker_token, &mut next.manager_token] {
                repin(token, root);
            }
            next.rotation = None;
        }
        RotationStage::Returning => next.rotation = None,
    }
    Some(next)
}

/// The token with the same secret for the new root. One that cannot be read stays: whoever asks for
/// it is told.
fn repin(token: &mut String, root: RootDigest) {
    if let Ok(old) = JoinToken::parse(token) {
        let new = JoinToken::new(old.role(), old.cluster(), root, old.secret().clone());
        *token = new.reveal().as_str().to_owned();
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    RootDigest::of(&CertificateDer::from(der)).into()
}

/// The new root's key and name in a certificate by the old root, valid as long as both are.
///
/// # Errors
/// The old root's key cannot sign, or the new root's name cannot be read.
pub fn cross_sign(
    old: &Root,
    new: &Root,
    now: SystemTime,
) -> Result<CertificateDer<'static>, IssueError> {
    let ends = |root: &Root| validity_of(root.cert().der()).ok_or(IssueError::Dates);
    let (from, until) = ends(new)?;
    let (_, old_ends) = ends(old)?;
    let not_before = now.checked_sub(CLOCK_SKEW_ALLOWANCE).unwrap_or(now);
    let mut params = CertificateParams::default();
    set_validity(&mut params, not_before.max(from), until.min(old_ends))?;
    params.serial_number = Some(random_serial()?);
    params.distinguished_name = subject_of(new.cert().der()).ok_or(IssueError::UnsupportedKey)?;
    let name = cluster_uri(new.cert().cluster());
    params.subject_alt_names = vec![SanType::URI(name.try_into().map_err(IssueError::Sign)?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let issuer = old.issuer().map_err(IssueError::Sign)?;
    let signed = params.signed_by(new.key().pair(), &issuer);
    Ok(signed.map_err(IssueError::Sign)?.der().clone())
}

/// The subject, byte for byte as it is there, or none that could be written again.
fn subject_of(certificate: &CertificateDer<'_>) -> Option<DistinguishedName> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let mut subject = DistinguishedName::new();
    for attribute in parsed.subject().iter_attributes() {
        let oid: Vec<u64> = attribute.attr_type().iter()?.collect();
        let value = attribute.attr_value();
        let text = std::str::from_utf8(value.data).ok()?;
        let value = match value.header.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
            Tag::Ia5String => DnValue::Ia5String(text.try_into().ok()?),
            _ => return None,
        };
        subject.push(DnType::CustomDnType(oid), value);
    }
    Some(subject)
}

/// Whether it can be the root of this cluster at all.
fn check(cluster: &Cluster, new: &Root, now: SystemTime) -> Result<(), RotationError> {
    let found = new.cert().cluster();
    if found != cluster.id {
        return Err(RotationError::OtherCluster {
            expected: cluster.id,
            found,
        });
    }
    let unreadable = || RotationError::NotAnAuthority;
    let (_, parsed) = parse_x509_certificate(new.cert().der()).map_err(|_| unreadable())?;
    let usage = parsed.key_usage().map_err(|_| unreadable())?;
    let signs = usage.is_none_or(|usage| usage.value.key_cert_sign());
    if !(parsed.is_ca() && signs) {
        return Err(RotationError::NotAnAuthority);
    }
    let (from, until) = validity_of(new.cert().der()).ok_or(RotationError::Dates)?;
    let lasts = until.duration_since(now).is_ok_and(|rest| rest >= LASTS);
    if from > now || !lasts {
        return Err(RotationError::Dates);
    }
    Ok(())
}

/// Issues a certificate for nobody, and looks whether those who trust the new root, and those who
/// trust the old one, accept it: a name that is written in two ways shows here, and not in a
/// cluster that has begun to use it.
fn try_out(
    cluster: ClusterId,
    old: &Root,
    new: &Root,
    cross: &CertificateDer<'static>,
    now: SystemTime,
) -> Result<(), RotationError> {
    let key = PrivateKey::generate()?;
    let nobody = NodeIdentity {
        cluster,
        role: Role::Worker,
        node: NodeId::from_entropy(0),
    };
    let request = certificate_request(&key)?;
    let chain = issue(new, &request, &nobody, now, CLOCK_SKEW_ALLOWANCE)?;
    let chain = chain.followed_by(&[cross.clone(), old.cert().der().clone()]);
    for root in [new, old] {
        let tried = Credentials::new(key.clone(), chain.clone(), root.cert().clone());
        tried.map_err(RotationError::Unusable)?;
    }
    Ok(())
}
