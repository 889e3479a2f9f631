//! A change of the cluster's root goes on as soon as every node is ready for the next step.

use crate::leader::office::Office;
use crate::leader::office::Outcome;
use crate::store::State;
use std::time::Duration;
use tokio::time::sleep;
use tokio::time::timeout;
use weft_pki::rotation;
use weft_proto::command::Change;

/// Looked at anew this often even if nothing happened, so that a lost hint costs only time.
const AT_LEAST: Duration = Duration::from_secs(10);
/// Between two looks: a thousand nodes that say what they hold are a few looks, not a thousand.
const REST: Duration = Duration::from_millis(100);

/// The next step, if every node is ready for it.
fn plan(state: &State) -> Option<Change> {
    let cluster = state.cluster()?;
    cluster.rotation.as_ref()?;
    let next = rotation::step(cluster, state.nodes().map(|node| &**node))?;
    Some(Change::update(next))
}

impl Office {
    /// Takes steps until the office is lost; the next leader goes on from the state.
    pub(super) async fn change_root(self) {
        let mut views = self.store.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            if let Some(change) = plan(&view)
                && self.propose("root", &view, vec![change]).await == Outcome::Committed
            {
                let stage = self.store.view().cluster().and_then(|cluster| {
                    cluster
                        .rotation
                        .as_ref()
                        .map(|rotation| rotation.stage.to_string())
                });
                tracing::info!(
                    stage = stage.as_deref().unwrap_or("done"),
                    "the change of the root goes on"
                );
            }
            sleep(REST).await;
            drop(timeout(AT_LEAST, views.changed()).await);
        }
    }
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
