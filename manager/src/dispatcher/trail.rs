//! The states that this manager went through lately, and what each step between them means.

use crate::dispatcher::assignment::common;
use crate::dispatcher::news::News;
use crate::store::Store;
use crate::store::View;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use weft_proto::assignment::Assignment;
use weft_proto::object::ObjectKey;

/// How many steps are kept, ten seconds of full load. Who is behind is told what differs between the
/// state it knows and the newest one.
const STEPS: usize = 512;
/// How many pieces they may hold in total: at most some tens of MB.
const PIECES: usize = 65_536;
/// Steps are this many times as far apart as it takes to make one: at least nine tenths of the time
/// are left to others.
const REST: u32 = 10;

/// From one state to a later one.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) old: View,
    pub(super) new: View,
    /// `None`: what changed is not known.
    pub(super) news: Option<News>,
}

/// What every node knows at a state, made once for all that ask for it.
type Common = (u64, Arc<Vec<Assignment>>);

/// Follows the state in steps that all sessions share. A step costs its making once, and each
/// session only what concerns its node.
#[derive(Debug)]
pub(super) struct Trail {
    store: Arc<Store>,
    steps: Mutex<VecDeque<Arc<Step>>>,
    newest: watch::Sender<View>,
    common: Mutex<Option<Common>>,
}

impl Trail {
    pub(super) fn new(store: Arc<Store>) -> Trail {
        let newest = watch::Sender::new(store.view());
        Trail {
            store,
            steps: Mutex::default(),
            newest,
            common: Mutex::default(),
        }
    }

    /// The newest state to which all steps are there.
    pub(super) fn subscribe(&self) -> watch::Receiver<View> {
        self.newest.subscribe()
    }

    /// The steps after a revision, in order; `None` when they are no longer kept.
    pub(super) fn since(&self, revision: u64) -> Option<Vec<Arc<Step>>> {
        let steps = self.steps.lock();
        let first = steps.partition_point(|step| step.old.revision() < revision);
        match steps.get(first) {
            Some(step) if step.old.revision() == revision => {
                Some(steps.range(first..).cloned().collect())
            }
            Some(_) => None,
            None => {
                let last = self.newest.borrow().revision();
                (last == revision).then(Vec::new)
            }
        }
    }

    /// What every node knows at a state.
    pub(super) fn common(&self, view: &View) -> Arc<Vec<Assignment>> {
        // Held while it is made: a thousand agents that come at once wait for one of them.
        let mut known = self.common.lock();
        match &*known {
            Some((revision, common)) if *revision == view.revision() => Arc::clone(common),
            Some(_) | None => {
                let made = Arc::new(common(view).collect());
                *known = Some((view.revision(), Arc::clone(&made)));
                made
            }
        }
    }

    /// Makes steps, at least `pace` apart, for as long as it is polled.
    pub(super) async fn run(&self, pace: Duration) {
        let mut views = self.store.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            let begun = tokio::time::Instant::now();
            self.step(view);
            sleep(pace.max(begun.elapsed() * REST)).await;
            if views.changed().await.is_err() {
                return;
            }
        }
    }

    fn step(&self, new: View) {
        let old = self.newest.borrow().clone();
        if new.revision() == old.revision() {
            return;
        }
        // Asked for after the view was taken: it may say more than the view has, never less.
        let changed = self.store.changes_since(old.revision()).ok();
        let forwards = new.revision() > old.revision();
        let news = changed.filter(|_| forwards).map(|sets| {
            let keys = sets.iter().flat_map(|set| &set.changed);
            let keys: BTreeSet<ObjectKey> = keys.copied().collect();
            News::of(&old, &new, &keys)
        });
        let step = Step {
            old,
            new: Arc::clone(&new),
            news,
        };
        let mut steps = self.steps.lock();
        steps.push_back(Arc::new(step));
        let size = |step: &Arc<Step>| step.news.as_ref().map_or(0, News::len);
        let mut pieces: usize = steps.iter().map(size).sum();
        while steps.len() > STEPS || pieces > PIECES {
            let Some(dropped) = steps.pop_front() else {
                break;
            };
            pieces -= size(&dropped);
        }
        self.newest.send_replace(new);
    }
}
