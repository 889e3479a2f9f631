//! Certificates of people. Pure but for the key's own randomness.

use crate::managers::manager_addrs;
use crate::people::Certified;
use crate::people::change::Wanted;
use crate::people::error::PeopleError;
use crate::store::State;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use weft_pki::Authority;
use weft_pki::CertificateChain;
use weft_pki::UserIdentity;
use weft_pki::key_digest;
use weft_proto::ClusterId;
use weft_proto::UserId;
use weft_proto::object::KeyDigest;
use weft_proto::object::Meta;
use weft_proto::object::User;
use weft_proto::time::Timestamp;
use weft_proto::wire;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a person's certificate is valid unless said otherwise: 30 days. Rights are looked up at
/// every call and end with the user's removal, so this only bounds how long a forgotten bundle lies
/// about; and it is renewed with one command.
pub const DEFAULT_TTL: Duration = DAY.saturating_mul(30);
/// What may be said: from the time it takes to hand a bundle over to a year.
pub const TTLS: RangeInclusive<Duration> = Duration::from_secs(300)..=DAY.saturating_mul(366);

/// A new user with a certificate for the key in `request`.
pub(super) fn create(
    state: &State,
    id: UserId,
    wanted: &Wanted,
    request: &[u8],
    now: SystemTime,
) -> Result<Certified, PeopleError> {
    let (cluster, authority) = authority(state)?;
    let identity = UserIdentity {
        cluster,
        name: wanted.name.clone(),
    };
    let chain = authority.issue_user(request, &identity, now, wanted.ttl)?;
    let user = User {
        meta: Meta::default(),
        id,
        name: wanted.name.clone(),
        role: wanted.role,
        stack: wanted.stack.clone(),
        certificate_ttl: wanted.ttl,
        key: key_of(&chain)?,
        expires: expires(&chain),
    };
    Ok((user, chain))
}

/// Another certificate for the key that is the user's.
pub(super) fn again(
    state: &State,
    user: &Arc<User>,
    request: &[u8],
    now: SystemTime,
) -> Result<Certified, PeopleError> {
    let (cluster, authority) = authority(state)?;
    let identity = UserIdentity {
        cluster,
        name: user.name.clone(),
    };
    let chain = authority.issue_user(request, &identity, now, user.certificate_ttl)?;
    if key_of(&chain)? != user.key {
        return Err(PeopleError::OtherKey(user.name.clone()));
    }
    let user = User {
        expires: expires(&chain),
        ..User::clone(user)
    };
    Ok((user, chain))
}

/// What the person is sent.
pub(super) fn answer(
    state: &State,
    chain: &CertificateChain,
) -> Result<wire::UserCertificate, PeopleError> {
    let (_, authority) = authority(state)?;
    let chain_der = chain.certificates().iter();
    // While the root is being changed, both: the bundle is good before and after.
    let roots = authority.trust().roots();
    let managers = manager_addrs(state);
    Ok(wire::UserCertificate {
        chain_der: chain_der.map(|der| der.as_ref().to_vec()).collect(),
        root_der: roots.map(|root| root.der().to_vec()).collect(),
        manager_addrs: managers.iter().map(ToString::to_string).collect(),
        expires_ms: expires(chain).as_millis(),
    })
}

fn authority(state: &State) -> Result<(ClusterId, Authority), PeopleError> {
    let cluster = state.cluster().ok_or(PeopleError::NoCluster)?;
    let authority = Authority::of(cluster).map_err(PeopleError::Authority)?;
    Ok((cluster.id, authority))
}

fn key_of(chain: &CertificateChain) -> Result<KeyDigest, PeopleError> {
    let leaf = chain.certificates().first();
    let leaf = leaf.ok_or(weft_pki::IdentityError::NotACertificate)?;
    Ok(key_digest(leaf)?)
}

fn expires(chain: &CertificateChain) -> Timestamp {
    chain.not_after().map(Timestamp::from).unwrap_or_default()
}
