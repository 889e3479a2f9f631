//! The root of all certificates and its change, and how long certificates live.

use crate::api::cluster;
use crate::api::error::ApiError;
use crate::propose::retry::Decision;
use crate::store::State;
use std::time::Duration;
use std::time::SystemTime;
use weft_pki::Root;
use weft_pki::RootDigest;
use weft_pki::rotation;
use weft_proto::ClusterId;
use weft_proto::command::Change;
use weft_proto::defaults;
use weft_proto::object::Cluster;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::root_rotation::Stage;

/// The settings as asked for.
pub(super) fn update(
    state: &State,
    request: &wire::UpdateClusterRequest,
) -> Result<Decision<()>, ApiError> {
    let old = cluster::get(state)?;
    let mut cluster = Cluster::clone(&old);
    if let Some(millis) = request.certificate_ttl_ms {
        cluster.settings.certificate_ttl = life(millis, request.development)?;
    }
    Ok(changed(&old, cluster))
}

/// What an update does, in words.
pub(super) fn said(request: &wire::UpdateClusterRequest) -> String {
    match request.certificate_ttl_ms {
        Some(millis) => format!("set the life of certificates to {} s", millis / 1000),
        None => "changed nothing".to_owned(),
    }
}

fn life(millis: u64, development: bool) -> Result<Duration, ApiError> {
    let ttl = Duration::from_millis(millis);
    let allowed = if development {
        defaults::CERTIFICATE_TTL_DEVELOPMENT..=*defaults::CERTIFICATE_TTLS.end()
    } else {
        defaults::CERTIFICATE_TTLS
    };
    if allowed.contains(&ttl) {
        Ok(ttl)
    } else {
        Err(ApiError::CertificateTtl(ttl))
    }
}

/// The root that is to be: the given one, or one of our own making.
pub(super) fn new_root(
    cluster: ClusterId,
    request: &wire::RotateCaRequest,
) -> Result<(Root, SystemTime), ApiError> {
    let at = u64::try_from(request.at_ms).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(at);
    let root = if request.cert_pem.is_empty() && request.key_pem.is_empty() {
        Root::create(cluster, now).map_err(ApiError::NewRoot)?
    } else {
        Root::from_pem(&request.cert_pem, &request.key_pem).map_err(ApiError::GivenRoot)?
    };
    Ok((root, now))
}

/// A change to another root, begun.
pub(super) fn rotate(state: &State, new: &Root, now: SystemTime) -> Result<Decision<()>, ApiError> {
    let old = cluster::get(state)?;
    let begun = rotation::begin(&old, new, now)?;
    Ok(changed(&old, begun))
}

/// A change to another root, called off.
pub(super) fn abort(state: &State) -> Result<Decision<()>, ApiError> {
    let old = cluster::get(state)?;
    let aborted = rotation::abort(&old)?;
    Ok(changed(&old, aborted))
}

fn changed(old: &Cluster, new: Cluster) -> Decision<()> {
    Decision {
        changes: if *old == new {
            Vec::new()
        } else {
            vec![Change::update(new)]
        },
        outcome: (),
    }
}

/// The root, and how far its change is.
pub(super) fn show(state: &State) -> Result<wire::GetCaResponse, ApiError> {
    let cluster = cluster::get(state)?;
    let root = cluster::root(&cluster)?;
    let (_, not_after) = root.validity();
    let digest = root.digest().to_string();
    let ttl = cluster.settings.certificate_ttl.as_millis();
    Ok(wire::GetCaResponse {
        root_pem: root.to_pem(),
        digest,
        not_after_ms: Timestamp::from(not_after).as_millis(),
        certificate_ttl_ms: u64::try_from(ttl).unwrap_or(u64::MAX),
        rotation: progress(state, &cluster),
    })
}

fn progress(state: &State, cluster: &Cluster) -> Option<wire::RotationProgress> {
    let rotation = cluster.rotation.as_ref()?;
    let waiting = rotation::waiting(cluster, state.nodes().map(|node| &**node));
    let waiting = waiting.iter().map(|waiting| wire::RotationWait {
        node_id: waiting.node.id.to_string(),
        hostname: waiting.node.description.hostname.clone(),
        state: waiting.node.status.state.to_string(),
        reason: waiting.reason.to_string(),
    });
    Some(wire::RotationProgress {
        stage: Stage::from(rotation.stage).into(),
        digest: RootDigest::of(&rotation.certificate.as_slice().into()).to_string(),
        started_ms: rotation.started.as_millis(),
        nodes: u32::try_from(state.nodes().count()).unwrap_or(u32::MAX),
        waiting: waiting.collect(),
    })
}
