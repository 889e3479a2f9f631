//! Keeps the last assignments on disk.

use crate::db::Db;
use crate::desired::Desired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;

/// Changes that arrive within this are written once: a flush takes milliseconds, and a lost write
/// costs only that the cluster says it again.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(2);

/// Saves every change of `desired` until `shutdown`, and once more then. `saved` is the revision
/// that the disk holds already; 0, which nobody said, if there is none.
pub async fn keep_saved(
    db: Db,
    mut desired: watch::Receiver<Arc<Desired>>,
    mut saved: u64,
    shutdown: CancellationToken,
) {
    let mut trouble = None;
    while !shutdown.is_cancelled() {
        let pause = match trouble {
            None => {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    changed = desired.changed() => if changed.is_err() { break },
                }
                DEBOUNCE
            }
            Some(_) => RETRY,
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        save(&db, &mut desired, &mut saved, &mut trouble).await;
    }
    save(&db, &mut desired, &mut saved, &mut trouble).await;
}

async fn save(
    db: &Db,
    desired: &mut watch::Receiver<Arc<Desired>>,
    saved: &mut u64,
    trouble: &mut Option<String>,
) {
    let now = Arc::clone(&desired.borrow_and_update());
    if now.revision == *saved {
        return;
    }
    let revision = now.revision;
    let db = db.clone();
    let outcome = tokio::task::spawn_blocking(move || db.save(&now)).await;
    let problem = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }),
        Err(error) => Some(error.to_string()),
    };
    match &problem {
        None => {
            *saved = revision;
            if trouble.is_some() {
                info!(revision, "assignments are saved again");
            }
        }
        Some(text) if problem != *trouble => {
            error!(error = %text, "a restart without managers would lose the newest assignments");
        }
        Some(_) => {}
    }
    *trouble = problem;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::desired;
    use crate::fixture::task;

    #[tokio::test]
    async fn the_last_change_is_on_disk_after_an_orderly_end() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::new(dir.path());
        let (sender, receiver) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep_saved(db.clone(), receiver, 0, stop.clone()));
        sender.send_replace(Arc::new(desired(1, [])));
        sender.send_replace(Arc::new(desired(2, [task(1)])));
        stop.cancel();
        keeper.await.unwrap();
        assert_eq!(db.load().unwrap(), Some(desired(2, [task(1)])));
    }

    #[tokio::test]
    async fn changes_are_on_disk_soon() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::new(dir.path());
        let (sender, receiver) = watch::channel(Arc::default());
        let keeper = tokio::spawn(keep_saved(
            db.clone(),
            receiver,
            0,
            CancellationToken::new(),
        ));
        sender.send_replace(Arc::new(desired(3, [task(1)])));
        let saved = async {
            while db.load().unwrap() != Some(desired(3, [task(1)])) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), saved)
            .await
            .unwrap();
        keeper.abort();
    }
}
