//! What the manager that answers has of the cluster's state.

use crate::api::error::ApiError;
use crate::store::Store;
use crate::store::View;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// This manager's own copy of the state, which may be behind the leader's.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The copy.
    pub store: Arc<Store>,
    /// The manager stops: those who follow are to look for another one.
    pub stop: CancellationToken,
}

/// How long a manager may take to come to what its caller has seen elsewhere. Between managers that
/// reach each other it is milliseconds; who waits longer should ask another one.
const CATCH_UP: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 2_000 });

impl Replica {
    /// Of the manager that has this store and ends by this token.
    pub fn new(store: &Arc<Store>, stop: &CancellationToken) -> Self {
        Replica {
            store: store.clone(),
            stop: stop.clone(),
        }
    }

    /// The state here, once it is at `revision` or beyond; 0 for whatever is here.
    pub(super) async fn reached(&self, revision: u64) -> Result<View, ApiError> {
        let reached = timeout(CATCH_UP, self.store.wait_for(revision)).await;
        reached.map_err(|_| ApiError::Behind {
            wanted: revision,
            found: self.store.view().revision(),
        })
    }
}
