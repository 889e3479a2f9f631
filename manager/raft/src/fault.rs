//! The signal that this member cannot go on and its process must end.

use std::sync::Arc;
use tokio::sync::watch;

/// Set once, by whoever sees the first unrecoverable failure; never cleared. After a failed
/// flush nobody knows what is on disk, so retrying could acknowledge what is not there.
#[derive(Clone, Debug)]
pub(crate) struct Fault(Arc<watch::Sender<Option<String>>>);

impl Fault {
    pub(crate) fn new() -> Self {
        Fault(Arc::new(watch::Sender::new(None)))
    }

    /// Records the first failure; later ones are consequences and only logged.
    pub(crate) fn report(&self, what: impl Into<String>) {
        let what = what.into();
        tracing::error!(fault = %what, "consensus cannot go on: the process must end");
        self.0.send_if_modified(|fault| {
            let first = fault.is_none();
            if first {
                *fault = Some(what);
            }
            first
        });
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.0.subscribe()
    }

    /// Resolves with the first failure, else never.
    pub(crate) async fn reported(&self) -> String {
        let mut seen = self.subscribe();
        loop {
            if let Some(what) = seen.borrow_and_update().clone() {
                return what;
            }
            // `self` holds the sender, so the channel cannot close while we wait.
            if seen.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
