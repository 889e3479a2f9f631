//! Keeps a manager's disk locked with the unlock key that the cluster has.

use crate::propose::Proposer;
use crate::store::State;
use crate::store::Store;
use crate::vault::Vault;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use weft_pki::UnlockKey;

/// How often is looked: an old unlock key opens a running manager's disk no longer after this.
const PERIOD: Duration = Duration::from_millis(500);

/// Locks `vault` anew, until `stop`, whenever the cluster has another unlock key than it. `locked`
/// counts how often.
pub(super) async fn follow(
    store: Arc<Store>,
    proposer: Arc<dyn Proposer>,
    vault: Arc<Vault>,
    locked: watch::Sender<u64>,
    stop: CancellationToken,
) {
    let work = async {
        loop {
            sleep(PERIOD).await;
            if !differs(&store.view(), &vault) {
                continue;
            }
            // A manager that is catching up goes through keys of the past: only the present counts.
            let Ok(view) = proposer.fresh_view().await else {
                continue;
            };
            if !differs(&view, &vault) {
                continue;
            }
            let key = wanted(&view);
            let on = key.is_some();
            let vault = vault.clone();
            let done = tokio::task::spawn_blocking(move || vault.lock_with(key)).await;
            match done {
                Ok(Ok(())) => {
                    tracing::info!(locked = on, "this manager's keys were locked anew");
                    locked.send_modify(|count| *count += 1);
                }
                Ok(Err(why)) => {
                    let why = std::error::Error::source(&why)
                        .map_or_else(|| why.to_string(), |cause| format!("{why}: {cause}"));
                    tracing::error!(%why, "this manager's keys are not locked as the cluster wants");
                }
                Err(why) => tracing::error!(%why, "the disk's thread ended"),
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

fn wanted(state: &State) -> Option<UnlockKey> {
    let key = state.cluster()?.unlock_key.as_ref()?;
    UnlockKey::from_bytes(key.as_ref())
}

/// A state without a cluster says nothing.
fn differs(state: &State, vault: &Vault) -> bool {
    state.cluster().is_some() && wanted(state) != vault.lock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::propose::fake::FakeProposer;
    use weft_proto::command::Change;
    use weft_proto::object::Cluster;
    use zeroize::Zeroizing;

    fn set(fake: &FakeProposer, key: Option<u8>) {
        let mut cluster = Cluster::clone(fake.view().cluster().unwrap());
        cluster.unlock_key = key.map(|byte| Zeroizing::new([byte; 32]));
        fake.write(vec![Change::update(cluster)]);
    }

    #[test]
    fn a_vault_differs_until_it_is_locked_as_the_state_says_and_an_empty_state_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::beside(&dir.path().join("raft"));
        vault.ready(false).unwrap();
        let fake = FakeProposer::new(vec![fixture::cluster().into()]);
        assert!(!differs(&fake.view(), &vault));
        for key in [Some(1), Some(2), None] {
            set(&fake, key);
            assert!(differs(&fake.view(), &vault));
            vault.lock_with(wanted(&fake.view())).unwrap();
            assert!(!differs(&fake.view(), &vault));
        }
        vault.lock_with(UnlockKey::from_bytes(&[9; 32])).unwrap();
        assert!(!differs(&State::default(), &vault));
    }
}
