//! Follows the changes of the state, now with one manager, now with another.

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::host::Running;
use crate::truth::touched;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;
use tokio::time::timeout;
use weft_history::Seen;
use weft_history::Stream;
use weft_history::WatcherId;

/// A watcher. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Watcher {
    cluster: Cluster,
    dice: Dice,
    seen: Arc<Mutex<Vec<Stream>>>,
    number: u32,
}

impl Watcher {
    /// One that has seen nothing.
    pub fn new(number: u32, cluster: Cluster, dice: Dice) -> Watcher {
        Watcher {
            cluster,
            dice,
            seen: Arc::default(),
            number,
        }
    }

    /// What it saw. After a gap that it was told of, another stream begins.
    pub fn streams(&self) -> Vec<Stream> {
        self.seen.lock().clone()
    }

    /// Watches until dropped.
    pub async fn run(self) {
        let mut position = 0;
        self.begin(position);
        loop {
            let managers = self.cluster.all_running();
            if let Some(manager) = self.dice.pick(&managers) {
                self.note(Seen::Began { after: position });
                tokio::select! {
                    biased;
                    () = manager.dead.cancelled() => {}
                    () = self.follow(manager, &mut position) => {}
                }
            }
            tokio::time::sleep(self.dice.millis(1, 200)).await;
        }
    }

    /// Follows one manager for some seconds.
    async fn follow(&self, manager: &Running, position: &mut u64) {
        let until = Instant::now() + self.dice.millis(500, 4000);
        let mut views = manager.store.subscribe();
        while Instant::now() < until {
            views.borrow_and_update();
            match manager.store.changes_since(*position) {
                Ok(sets) => {
                    for set in sets {
                        let changes = set.changed.iter().map(|key| touched(*key)).collect();
                        *position = set.revision;
                        self.note(Seen::Changes {
                            revision: set.revision,
                            changes,
                        });
                    }
                }
                Err(_) => {
                    *position = manager.store.view().revision();
                    self.begin(*position);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            drop(timeout(left, views.changed()).await);
        }
    }

    fn begin(&self, after: u64) {
        self.seen.lock().push(Stream {
            watcher: WatcherId(self.number),
            seen: vec![Seen::Began { after }],
        });
    }

    fn note(&self, seen: Seen) {
        if let Some(stream) = self.seen.lock().last_mut() {
            stream.seen.push(seen);
        }
    }
}
