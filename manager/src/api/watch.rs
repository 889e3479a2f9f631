//! Following the state: what is there, then every change.
//!
//! Each watcher is a place in the store's history and nothing more: events are made when its
//! connection has room for them, so a slow watcher costs no memory and slows nobody. One that falls
//! out of the history is told so and gets a new snapshot.

use crate::api::Replica;
use crate::api::shown::shown;
use crate::propose::Proposer;
use crate::store::Delta;
use crate::store::Item;
use crate::store::Lagged;
use crate::store::Step;
use crate::store::Store;
use crate::store::View;
use futures::Stream;
use futures::stream;
use prost::Message;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;
use tonic::Status;
use weft_proto::object::ObjectKey;
use weft_proto::spec::MaterialKind;
use weft_proto::wire;
use weft_proto::wire::ObjectKind;
use weft_proto::wire::watch_event::Kind as Event;
use weft_proto::wire::watch_step::Kind as StepKind;

/// How often a watcher that has nothing to hear learns the revision.
const PROGRESS: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });
/// How long a manager may be behind a watcher that comes from another one before it asks the others
/// whether the cluster began anew from less. Without a majority it cannot know, and must not tell a
/// watcher of the past: it may itself have just started, with a state that is behind its own log.
const CATCH_UP: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 10_000 });
/// Changes that are taken out of the history at once.
const PORTION: usize = 64;
/// A portion of a snapshot is sent when it has this many bytes or more.
const SNAPSHOT_BYTES: usize = 256 << 10;

/// Which objects a watcher wants.
#[derive(Clone, Debug)]
struct Wanted(BTreeSet<ObjectKind>);

impl Wanted {
    fn read(request: &wire::WatchRequest) -> Result<Self, Status> {
        let kinds = request.kinds.iter().map(|number| {
            ObjectKind::try_from(*number)
                .ok()
                .filter(|kind| *kind != ObjectKind::Unspecified)
                .ok_or_else(|| Status::invalid_argument(format!("kind {number} is unknown here")))
        });
        Ok(Wanted(kinds.collect::<Result<_, _>>()?))
    }

    fn all(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, key: ObjectKey) -> bool {
        let kind = match key {
            ObjectKey::Cluster => ObjectKind::Cluster,
            ObjectKey::Node(_) => ObjectKind::Node,
            ObjectKey::Network(_) => ObjectKind::Network,
            ObjectKey::Service(_) => ObjectKind::Service,
            ObjectKey::Task(_) => ObjectKind::Task,
            ObjectKey::User(_) => ObjectKind::User,
            ObjectKey::JoinToken(_) => ObjectKind::JoinToken,
            ObjectKey::Material(MaterialKind::Secret, _) => ObjectKind::Secret,
            ObjectKey::Material(MaterialKind::Config, _) => ObjectKind::Config,
            ObjectKey::KeyRing => ObjectKind::KeyRing,
        };
        self.all() || self.0.contains(&kind)
    }
}

/// The events for one request, until the manager stops.
pub(super) fn events(
    replica: &Replica,
    proposer: Arc<dyn Proposer>,
    request: &wire::WatchRequest,
) -> Result<impl Stream<Item = Result<wire::WatchEvent, Status>> + Send + use<>, Status> {
    let watcher = Watcher {
        store: replica.store.clone(),
        proposer,
        views: replica.store.subscribe(),
        wanted: Wanted::read(request)?,
        told: request.since_revision,
        announced: request.since_revision,
        begun: request.since_revision != 0,
        snapshot: None,
        deltas: VecDeque::new(),
        due: Instant::now() + PROGRESS,
    };
    let stop = replica.stop.clone();
    Ok(stream::unfold(watcher, move |mut watcher| {
        let stop = stop.clone();
        async move {
            let event = stop.run_until_cancelled(watcher.next()).await?;
            Some((Ok(wire::WatchEvent { kind: Some(event) }), watcher))
        }
    }))
}

struct Watcher {
    store: Arc<Store>,
    /// Knows the cluster's revision, where this manager's own may be old.
    proposer: Arc<dyn Proposer>,
    views: watch::Receiver<View>,
    wanted: Wanted,
    /// Every change up to here was looked at.
    told: u64,
    /// The revision of the last event.
    announced: u64,
    /// Nothing is owed of the state as it was when the watcher came.
    begun: bool,
    snapshot: Option<Snapshot>,
    deltas: VecDeque<Arc<Delta>>,
    /// When something must be said, if only that nothing happened.
    due: Instant,
}

/// What is still to be told of a state.
struct Snapshot {
    revision: u64,
    rest: std::vec::IntoIter<Item>,
}

impl Watcher {
    async fn next(&mut self) -> Event {
        let event = self.find().await;
        self.due = Instant::now() + PROGRESS;
        event
    }

    async fn find(&mut self) -> Event {
        loop {
            if !self.begun {
                self.begin();
            }
            if let Some(portion) = self.portion() {
                return Event::Snapshot(portion);
            }
            while let Some(delta) = self.deltas.pop_front() {
                self.told = delta.revision;
                if let Some(change) = self.change(&delta) {
                    self.announced = delta.revision;
                    return Event::Change(change);
                }
            }
            // In this order: the history then has every change up to that revision.
            let revision = self.views.borrow_and_update().revision();
            match self.store.deltas_since(self.told, PORTION) {
                Ok(deltas) if !deltas.is_empty() => self.deltas = deltas.into(),
                Ok(_) => {
                    if let Some(event) = self.wait(revision).await {
                        return event;
                    }
                }
                Err(lagged @ Lagged(_)) => return self.resync(lagged.to_string()),
            }
        }
    }

    fn begin(&mut self) {
        let view = self.store.view();
        let wanted = view.items().filter(|item| self.wanted.has(item.key()));
        self.snapshot = Some(Snapshot {
            revision: view.revision(),
            rest: wanted.collect::<Vec<_>>().into_iter(),
        });
        self.begun = true;
    }

    fn portion(&mut self) -> Option<wire::WatchSnapshot> {
        let portion = self.snapshot.as_mut()?.portion();
        if portion.last {
            self.snapshot = None;
            self.told = portion.revision;
            self.announced = portion.revision;
        }
        Some(portion)
    }

    fn resync(&mut self, reason: String) -> Event {
        self.begun = false;
        Event::Resync(wire::WatchResync {
            since_revision: self.told,
            reason,
        })
    }

    /// Waits for more than this manager knows, which is `revision` and no change since what the
    /// watcher was told. An event when there is something to say without a change.
    async fn wait(&mut self, revision: u64) -> Option<Event> {
        let told = self.told;
        if revision < told {
            // It has not caught up with the one the watcher comes from, or never will.
            let caught_up = self.views.wait_for(|view| view.revision() >= told);
            if timeout(CATCH_UP, caught_up).await.is_ok() {
                return None;
            }
            let cluster = self.proposer.fresh_view().await.ok()?.revision();
            return (cluster < told).then(|| {
                self.resync(format!(
                    "the cluster is at revision {cluster}, and was never at {told}"
                ))
            });
        }
        self.told = revision;
        if timeout_at(self.due, self.views.changed()).await.is_ok() && Instant::now() < self.due {
            return None;
        }
        self.announced = revision;
        Some(Event::Progress(wire::WatchProgress { revision }))
    }

    fn change(&self, delta: &Delta) -> Option<wire::WatchChange> {
        let wanted = delta
            .steps
            .iter()
            .filter(|step| self.wanted.has(step.key()));
        let steps: Vec<_> = wanted.map(step).collect();
        if steps.is_empty() {
            return None;
        }
        Some(wire::WatchChange {
            revision: delta.revision,
            // Of some kinds only, nothing was left out since the last event.
            previous: if self.wanted.all() {
                delta.previous
            } else {
                self.announced
            },
            at_ms: delta.at.as_millis(),
            steps,
        })
    }
}

impl Snapshot {
    /// The next portion; the last one may be empty.
    fn portion(&mut self) -> wire::WatchSnapshot {
        let mut objects = Vec::new();
        let mut bytes = 0;
        while bytes < SNAPSHOT_BYTES
            && let Some(item) = self.rest.next()
        {
            let object = shown(&item);
            bytes += object.encoded_len();
            objects.push(object);
        }
        wire::WatchSnapshot {
            revision: self.revision,
            objects,
            last: self.rest.as_slice().is_empty(),
        }
    }
}

fn step(step: &Step) -> wire::WatchStep {
    let kind = match step {
        Step::Put(item) => StepKind::Put(shown(item)),
        Step::Deleted(item) => StepKind::Deleted(wire::WatchDeleted {
            key: Some((&item.key()).into()),
            name: item.name(),
        }),
    };
    wire::WatchStep { kind: Some(kind) }
}
