//! Follows the changes of the state, now with one manager, now with another.

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::host::Running;
use crate::truth::touched;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;
use weft_history::Change;
use weft_history::Seen;
use weft_history::Stream;
use weft_history::WatcherId;
use weft_manager::store::ChangeSet;
use weft_manager::store::Delta;
use weft_manager::store::Lagged;

/// How long a watcher waits for news before it asks again.
const LOOK: Duration = Duration::from_millis(200);
/// Changes that a watcher asks for at once, which may be fewer than there are.
const AT_ONCE: usize = 64;

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
            match self.news(manager, *position) {
                Ok(news) => {
                    for (revision, changes) in news {
                        *position = revision;
                        self.note(Seen::Changes { revision, changes });
                    }
                }
                Err(Lagged(_)) => {
                    *position = manager.store.view().revision();
                    self.begin(*position);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            // One that asks for some at a time asks again, whether there are more or not.
            drop(timeout(left.min(LOOK), views.changed()).await);
        }
    }

    /// What changed after a revision: of the two ways to ask, one watcher uses the one, another the
    /// other.
    fn news(&self, manager: &Running, after: u64) -> Result<Vec<(u64, Vec<Change>)>, Lagged> {
        if self.number.is_multiple_of(2) {
            let sets = manager.store.changes_since(after)?;
            let told = |set: &Arc<ChangeSet>| {
                let changes = set.changed.iter().map(|key| touched(*key));
                (set.revision, changes.collect())
            };
            return Ok(sets.iter().map(told).collect());
        }
        let deltas = manager.store.deltas_since(after, AT_ONCE)?;
        let told = |delta: &Arc<Delta>| {
            let changes = delta.steps.iter().map(|step| touched(step.key()));
            (delta.revision, changes.collect())
        };
        Ok(deltas.iter().map(told).collect())
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
