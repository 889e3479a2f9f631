//! Identities that are no longer welcome although their certificates are still valid.

use std::collections::HashSet;
use std::future::Future;
use std::future::pending;

use tokio::sync::watch;

use crate::NodeIdentity;

/// The refused identities of this moment; open connections listen for changes.
#[derive(Debug)]
pub(crate) struct Revoked(watch::Sender<HashSet<NodeIdentity>>);

impl Revoked {
    pub(crate) fn none() -> Self {
        Self(watch::Sender::new(HashSet::new()))
    }

    pub(crate) fn replace(&self, refused: HashSet<NodeIdentity>) {
        self.0.send_replace(refused);
    }

    pub(crate) fn contains(&self, identity: &NodeIdentity) -> bool {
        self.0.borrow().contains(identity)
    }

    /// Ready as soon as `identity` is refused, at once if it is already.
    pub(crate) fn wait_for(
        &self,
        identity: NodeIdentity,
    ) -> impl Future<Output = ()> + Send + 'static {
        let mut changes = self.0.subscribe();
        async move {
            let refused = changes.wait_for(|refused| refused.contains(&identity));
            if refused.await.is_err() {
                // Nobody is left who could refuse it.
                pending().await
            }
        }
    }
}
