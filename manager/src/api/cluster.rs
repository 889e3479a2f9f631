//! The cluster itself, and the tokens that let nodes join it.

use crate::allocator::AllocateError;
use crate::api::error::ApiError;
use crate::propose::retry::Decision;
use crate::store::State;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use weft_pki::JoinToken;
use weft_pki::RootCert;
use weft_pki::TokenSecret;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Cluster;

/// The cluster.
pub(super) fn get(state: &State) -> Result<Arc<Cluster>, ApiError> {
    let cluster = state.cluster().cloned();
    cluster.ok_or(ApiError::Allocate(AllocateError::NoCluster))
}

/// The public part of its root.
pub(super) fn root(cluster: &Cluster) -> Result<RootCert, ApiError> {
    let der = CertificateDer::from(cluster.root_certificate.clone());
    RootCert::from_der(der).map_err(ApiError::Root)
}

/// The token for joining with a role.
pub(super) fn token(state: &State, role: Role) -> Result<String, ApiError> {
    let cluster = get(state)?;
    Ok(match role {
        Role::Worker => cluster.worker_token.clone(),
        Role::Manager => cluster.manager_token.clone(),
    })
}

/// Another token for a role: whoever holds the old one can no longer join. Nodes that have joined
/// stay.
pub(super) fn rotate_token(
    state: &State,
    role: Role,
    secret: &TokenSecret,
) -> Result<Decision<()>, ApiError> {
    let mut cluster = Cluster::clone(&*get(state)?);
    let digest = root(&cluster)?.digest();
    let token = JoinToken::new(role, cluster.id, digest, secret.clone());
    let text = token.reveal().as_str().to_owned();
    match role {
        Role::Worker => cluster.worker_token = text,
        Role::Manager => cluster.manager_token = text,
    }
    Ok(Decision {
        changes: vec![Change::update(cluster)],
        outcome: (),
    })
}
