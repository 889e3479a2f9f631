//! The calls about what managers are locked with.

use crate::api::autolock;
use crate::api::error::ApiError;
use crate::api::server::Answer;
use crate::api::server::ControlService;
use crate::store::State;
use tonic::Request;
use tonic::Response;
use weft_pki::UnlockKey;
use weft_proto::wire;

impl ControlService {
    /// Whether managers wait for a key when they start.
    pub(super) async fn lock_managers(
        &self,
        request: Request<wire::SetAutolockRequest>,
    ) -> Answer<wire::SetAutolockResponse> {
        let on = request.get_ref().autolock;
        let fresh = UnlockKey::random().map_err(ApiError::Token)?;
        let done = self
            .transact(|state| autolock::set(state, on, &fresh))
            .await?;
        tracing::info!(on, "whether managers are locked after a restart was set");
        Ok(Response::new(wire::SetAutolockResponse {
            unlock_key: revealed(done.outcome.as_ref()),
        }))
    }

    /// What managers are unlocked with, or another key from now on.
    pub(super) async fn reveal_unlock_key(
        &self,
        request: Request<wire::GetUnlockKeyRequest>,
    ) -> Answer<wire::GetUnlockKeyResponse> {
        let key = if request.get_ref().rotate {
            let fresh = UnlockKey::random().map_err(ApiError::Token)?;
            let rotate = |state: &State| autolock::rotate(state, &fresh);
            let done = self.transact(rotate).await?;
            tracing::info!("the unlock key of managers is a new one");
            done.outcome
        } else {
            autolock::unlock_key(&*self.view().await?)?
        };
        let key = key.ok_or(ApiError::NotAutolocked)?;
        Ok(Response::new(wire::GetUnlockKeyResponse {
            unlock_key: revealed(Some(&key)),
        }))
    }
}

/// For the one who asked for it.
fn revealed(key: Option<&UnlockKey>) -> String {
    key.map_or_else(String::new, |key| key.reveal().as_str().to_owned())
}
