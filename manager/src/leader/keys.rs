//! The loop that keeps the data plane's keys young.

use crate::keys;
use crate::keys::Heard;
use crate::leader::office::Office;
use crate::leader::office::Outcome;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use weft_proto::key::SecretKey;

/// How often it is looked who holds a key that is being distributed.
const HELD: Duration = Duration::from_millis(100);
/// The least time between two looks at the state: keys are in no hurry.
const REST: Duration = Duration::from_millis(50);
/// Looked at anew this often even if nothing happened.
const AT_LEAST: Duration = Duration::from_secs(10);

impl Office {
    /// Makes new keys, sees to it that nodes hold them before they are used, and forgets old ones.
    pub(super) async fn keep_keys(self) {
        let begun = Instant::now();
        let mut views = self.store.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            let now = self.clock.timestamp();
            let held = self.liveness.held();
            let heard = Heard {
                held: &held,
                listened: begun.elapsed(),
            };
            let new_key = || {
                let (high, low) = (self.entropy.bits(), self.entropy.bits());
                let mut key = zeroize::Zeroizing::new([0; weft_proto::key::KEY_LEN]);
                let (first, second) = key.split_at_mut(16);
                first.copy_from_slice(&high.to_be_bytes());
                second.copy_from_slice(&low.to_be_bytes());
                SecretKey::new(*key)
            };
            let plan = keys::plan(&view, heard, now, new_key);
            let waiting = !plan.awaited.is_empty();
            self.liveness.await_keys(plan.awaited);
            if self.propose("keys", &view, plan.changes).await != Outcome::Nothing {
                continue;
            }
            sleep(REST).await;
            let wait = match plan.wake_at {
                _ if waiting => HELD,
                Some(at) => at.since(now).clamp(REST, AT_LEAST),
                None => AT_LEAST,
            };
            drop(timeout(wait, views.changed()).await);
        }
    }
}
