//! Who may join: whoever holds a token that counts at this moment.

use crate::ca::error::CaError;
use crate::store::State;
use std::sync::Arc;
use weft_pki::JoinToken;
use weft_pki::TokenVerifier;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::command::Expect;
use weft_proto::object::Cluster;
use weft_proto::object::IssuedToken;
use weft_proto::object::ObjectKey;
use weft_proto::time::Timestamp;

/// What a token lets its holder be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) role: Role,
    /// The token, unless it is one of the two standing ones.
    pub(super) issued: Option<Arc<IssuedToken>>,
}

/// Judges a token at a moment. It says which role it is for; it counts only when its secret is that
/// of the standing token of this very role, or of one that was made for it, compared in constant
/// time. Why a token does not count is told only to those who know its secret.
pub(super) fn admit(
    state: &State,
    cluster: &Cluster,
    presented: &JoinToken,
    now: Timestamp,
) -> Result<Admission, CaError> {
    if presented.cluster() != cluster.id {
        return Err(CaError::OtherCluster {
            theirs: presented.cluster(),
            ours: cluster.id,
        });
    }
    let role = presented.role();
    let standing = match role {
        Role::Worker => &cluster.worker_token,
        Role::Manager => &cluster.manager_token,
    };
    let standing =
        JoinToken::parse(standing).map_err(|source| CaError::StoredToken { role, source })?;
    judge(state, &standing, presented, now)
}

/// The same of a token of this cluster, beside the standing token of the role that it names.
pub(super) fn judge(
    state: &State,
    standing: &JoinToken,
    presented: &JoinToken,
    now: Timestamp,
) -> Result<Admission, CaError> {
    let role = presented.role();
    // The root a token pins is public, so it may be compared in any time.
    let same_root = presented.root() == standing.root();
    if standing.verifier().verify(presented.secret()) && same_root {
        return Ok(Admission { role, issued: None });
    }
    // Found by what follows from the secret and tells nothing of it; only then compared.
    let issued = state.join_token(presented.secret().id());
    let issued = issued.filter(|token| {
        let verifier = TokenVerifier::from_parts(token.role, token.sha256);
        verifier.verify(presented.secret()) && token.role == role && same_root
    });
    let token = issued.ok_or(CaError::TokenRefused { role })?;
    if token.has_expired(now) {
        return Err(CaError::TokenExpired(token.id));
    }
    if token.is_used_up() {
        return Err(CaError::TokenUsedUp {
            id: token.id,
            used: token.used,
        });
    }
    Ok(Admission {
        role,
        issued: Some(token.clone()),
    })
}

impl Admission {
    /// What its holder is called in the audit log.
    pub(super) fn holder(&self) -> String {
        match &self.issued {
            None => format!("token/{}", self.role),
            Some(token) => format!("token/{}", token.id.short()),
        }
    }

    /// Takes one use of the token. Refused when it is applied if the token was used, removed or
    /// rotated meanwhile. Belongs before whatever else changes the cluster in the transaction.
    pub(super) fn take(&self, cluster: &Cluster) -> Change {
        match &self.issued {
            None => Change::Guard {
                key: ObjectKey::Cluster,
                expect: Expect::Version(cluster.meta.version),
            },
            Some(token) => Change::update(used(token)),
        }
    }
}

/// The token after one more use.
pub(super) fn used(token: &IssuedToken) -> IssuedToken {
    let mut token = token.clone();
    token.used = token.used.saturating_add(1);
    token.uses_left = token.uses_left.map(|left| left.saturating_sub(1));
    token
}
