//! Who may join: whoever holds a current token.

use crate::ca::error::CaError;
use weft_pki::JoinToken;
use weft_proto::Role;
use weft_proto::object::Cluster;

/// The role that a token grants. The token says which role it is for; it counts only when its
/// secret is that of the cluster's current token of this very role, compared in constant time.
pub(super) fn admit(cluster: &Cluster, presented: &JoinToken) -> Result<Role, CaError> {
    if presented.cluster() != cluster.id {
        return Err(CaError::OtherCluster {
            theirs: presented.cluster(),
            ours: cluster.id,
        });
    }
    let role = presented.role();
    let stored = match role {
        Role::Worker => &cluster.worker_token,
        Role::Manager => &cluster.manager_token,
    };
    let stored =
        JoinToken::parse(stored).map_err(|source| CaError::StoredToken { role, source })?;
    // The root a token pins is public, so it may be compared in any time.
    let same_root = presented.root() == stored.root();
    if stored.verifier().verify(presented.secret()) && same_root {
        Ok(role)
    } else {
        Err(CaError::TokenRefused { role })
    }
}
