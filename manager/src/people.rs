//! People who use the cluster from afar: who they are, and their certificates.
//!
//! A person makes her key herself and sends a certificate request. Her certificate says only her name;
//! what she may do is in the state, and looked up at every call. The state knows which key is hers, so
//! that a certificate of a user of the same name who was removed is worth nothing.

mod certificate;
mod change;
mod error;

#[cfg(test)]
mod tests;

pub use certificate::DEFAULT_TTL;
pub use certificate::TTLS;

use crate::acting;
use crate::entropy::Entropy;
use crate::people::change::Change;
use crate::people::error::PeopleError;
use crate::propose::Proposer;
use crate::propose::retry::Basis;
use crate::propose::retry::Decision;
use crate::propose::retry::Once;
use crate::propose::retry::transact;
use crate::propose::retry::transact_once;
use crate::store::State;
use crate::store::View;
use std::fmt;
use std::sync::Arc;
use tonic::Status;
use weft_pki::CertificateChain;
use weft_pki::UserProof;
use weft_proto::CommandId;
use weft_proto::UserId;
use weft_proto::object::User;
use weft_proto::time::Clock;
use weft_proto::wire;

/// Most users of a cluster: more than any team, few enough to look through at every list.
pub const MAX_USERS: usize = 1000;

/// The people of a cluster, the same on every manager.
pub struct People {
    proposer: Arc<dyn Proposer>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Entropy>,
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

/// A user and what she was given.
type Certified = (User, CertificateChain);

impl People {
    /// Changes go through `proposer`, certificates are valid from `clock`'s time, and users are
    /// named out of `ids`.
    pub fn new(proposer: Arc<dyn Proposer>, clock: Arc<dyn Clock>, ids: Arc<dyn Entropy>) -> Self {
        People {
            proposer,
            clock,
            ids,
        }
    }

    /// Makes a user. `request`: the identifiers of the transaction and of the object, when the caller
    /// gave its request a name.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn create(
        &self,
        request: &wire::CreateUserRequest,
        named: Option<(CommandId, u128)>,
    ) -> Result<wire::CreateUserResponse, Status> {
        let wanted = change::Wanted::read(request)?;
        let (command, bits) = match named {
            Some((command, bits)) => (Some(command), bits),
            None => (None, self.ids.bits()),
        };
        let id = UserId::from_entropy(bits);
        let decide = |state: &State| {
            let certified = |state: &State| {
                certificate::create(state, id, &wanted, &request.csr_der, self.clock.now())
            };
            change::create(state, id, certified)
        };
        let done = transact_once(&*self.proposer, command, Basis::Fresh, decide).await?;
        let (user, chain, view) = match done {
            Once::Now(done) => (done.outcome.0, done.outcome.1, done.view),
            // The first answer was lost: the same user, and another certificate for the same key.
            Once::Before(view) => {
                let user = view.user(id).cloned().ok_or(PeopleError::MadeAndGone)?;
                let now = self.clock.now();
                let chain = certificate::again(&view, &user, &request.csr_der, now)?.1;
                (User::clone(&user), chain, Some(view))
            }
        };
        tracing::info!(user = %user.name, role = %user.role, stack = ?user.stack, "user created");
        let view = self.or_fresh(view).await?;
        Ok(wire::CreateUserResponse {
            certificate: Some(certificate::answer(&view, &chain)?),
            user: Some((&user).into()),
        })
    }

    /// The users that are meant, by name; with an empty target all.
    ///
    /// # Errors
    /// There is no such user.
    pub fn list(state: &State, target: &str) -> Result<Vec<wire::User>, Status> {
        if !target.is_empty() {
            let user = change::find(state, target)?;
            return Ok(vec![(&*user).into()]);
        }
        let mut all: Vec<_> = state.users().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all.into_iter().map(|user| (&**user).into()).collect())
    }

    /// Changes what a user may do, from her next call on.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn update(
        &self,
        request: &wire::UpdateUserRequest,
        id: Option<CommandId>,
    ) -> Result<wire::UpdateUserResponse, Status> {
        let change = Change::read(request)?;
        let decide = |state: &State| change::update(state, &request.target, &change);
        let done = transact_once(&*self.proposer, id, Basis::Fresh, decide).await?;
        let (decided, view) = done.parts();
        let user = match (decided, view) {
            (Some(user), _) => user,
            (None, Some(view)) => User::clone(&*change::find(&view, &request.target)?),
            (None, None) => return Err(PeopleError::MadeAndGone.into()),
        };
        tracing::info!(user = %user.name, role = %user.role, stack = ?user.stack, "user changed");
        Ok(wire::UpdateUserResponse {
            user: Some((&user).into()),
        })
    }

    /// Removes a user: her next call is refused, and what she has open is cut.
    ///
    /// # Errors
    /// There is no such user, or no leader.
    pub async fn remove(&self, target: &str) -> Result<wire::RemoveUserResponse, Status> {
        let decide = |state: &State| change::remove(state, target);
        let done = transact(&*self.proposer, decide).await?;
        tracing::info!(user = %done.outcome.name, "user removed");
        Ok(wire::RemoveUserResponse {
            user_id: done.outcome.id.to_string(),
        })
    }

    /// A new certificate for the caller's own key.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn renew(
        &self,
        caller: &UserProof,
        csr_der: &[u8],
    ) -> Result<wire::RenewUserResponse, Status> {
        let now = self.clock.now();
        let decide = |state: &State| -> Result<Decision<Certified>, PeopleError> {
            let name = caller.identity.name.as_str();
            let user = change::find(state, name)?;
            let (user, chain) = certificate::again(state, &user, csr_der, now)?;
            Ok(Decision {
                changes: vec![weft_proto::command::Change::update(user.clone())],
                outcome: (user, chain),
            })
        };
        let done = transact(&*self.proposer, decide).await?;
        let (user, chain) = done.outcome;
        tracing::info!(user = %user.name, "certificate of a user renewed");
        let view = self.or_fresh(done.view).await?;
        Ok(wire::RenewUserResponse {
            certificate: Some(certificate::answer(&view, &chain)?),
            user: Some((&user).into()),
        })
    }

    async fn or_fresh(&self, view: Option<View>) -> Result<View, PeopleError> {
        match view {
            Some(view) => Ok(view),
            None => Ok(self.proposer.fresh_view().await?),
        }
    }
}

/// Whether the person who makes the present call, if it is one, may change who is a member and as
/// what.
pub fn may_change_members() -> bool {
    use weft_proto::object::UserRole;
    acting::grant().is_none_or(|grant| grant.role == UserRole::Admin)
}
