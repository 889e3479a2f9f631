//! What a stream of changes says, across streams. Pure.

use crate::render::event;
use crate::render::event::Action;
use crate::render::event::EventRow;
use crate::render::event::Key;
use crate::render::event::Seen;
use std::collections::BTreeMap;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::watch_event::Kind;
use weft_proto::wire::watch_step::Kind as StepKind;

/// Changes are missing: this stream cannot be trusted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes between revision {told} and {next} are missing")]
pub(super) struct Gap {
    told: u64,
    next: u64,
}

/// What comes of one event.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    Rows(Vec<EventRow>),
    /// Changes were missed for good; what is there now is known again.
    Missed {
        since: u64,
        reason: String,
    },
}

/// Where a watcher is, and the objects as it knows them.
#[derive(Debug, Default)]
pub(super) struct Follower {
    told: u64,
    objects: BTreeMap<Key, Seen>,
    /// Portions of a snapshot that is not complete.
    coming: BTreeMap<Key, Seen>,
}

impl Follower {
    /// Goes on after a revision; from 0 with what is there.
    pub(super) fn new(since: u64) -> Self {
        Follower {
            told: since,
            ..Follower::default()
        }
    }

    /// Everything up to here was told.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// The stream broke: what it said of a snapshot so far is of no use to the next one.
    pub(super) fn interrupted(&mut self) {
        self.coming.clear();
    }

    pub(super) fn take(&mut self, event: wire::WatchEvent) -> Result<News, Gap> {
        let nothing = News::Rows(Vec::new());
        match event.kind {
            Some(Kind::Snapshot(portion)) => {
                let seen = portion.objects.into_iter().filter_map(event::seen);
                self.coming
                    .extend(seen.map(|seen| (seen.key.clone(), seen)));
                if portion.last {
                    self.objects = std::mem::take(&mut self.coming);
                    self.told = portion.revision;
                }
                Ok(nothing)
            }
            Some(Kind::Change(change)) => self.change(change).map(News::Rows),
            Some(Kind::Resync(resync)) => {
                self.interrupted();
                Ok(News::Missed {
                    since: self.told,
                    reason: resync.reason,
                })
            }
            Some(Kind::Progress(progress)) => {
                self.told = self.told.max(progress.revision);
                Ok(nothing)
            }
            // Of a newer version.
            None => Ok(nothing),
        }
    }

    fn change(&mut self, change: wire::WatchChange) -> Result<Vec<EventRow>, Gap> {
        if change.revision <= self.told {
            // Told before, in another stream.
            return Ok(Vec::new());
        }
        if change.previous > self.told {
            return Err(Gap {
                told: self.told,
                next: change.revision,
            });
        }
        self.told = change.revision;
        let at = Timestamp::from_millis(change.at_ms);
        let steps = change.steps.into_iter();
        let rows = steps.filter_map(|step| match step.kind? {
            StepKind::Put(object) => self.put(change.revision, at, object),
            StepKind::Deleted(deleted) => self.deleted(change.revision, at, deleted),
        });
        Ok(rows.collect())
    }

    fn put(&mut self, revision: u64, at: Timestamp, object: wire::Object) -> Option<EventRow> {
        let seen = event::seen(object)?;
        let old = self.objects.insert(seen.key.clone(), seen.clone());
        let action = if old.is_none() && seen.new {
            Action::Create
        } else {
            Action::Update
        };
        Some(EventRow {
            revision,
            at,
            kind: seen.key.kind,
            id: seen.key.id,
            name: seen.name,
            action,
            changes: old.map_or_else(Vec::new, |old| event::differences(&old.body, &seen.body)),
        })
    }

    fn deleted(
        &mut self,
        revision: u64,
        at: Timestamp,
        deleted: wire::WatchDeleted,
    ) -> Option<EventRow> {
        let key = event::removed(deleted.key?)?;
        self.objects.remove(&key);
        Some(EventRow {
            revision,
            at,
            kind: key.kind,
            id: key.id,
            name: deleted.name,
            action: Action::Remove,
            changes: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::test_objects;

    fn put(service: wire::Service) -> wire::WatchStep {
        let kind = wire::object::Kind::Service(service);
        let object = wire::Object { kind: Some(kind) };
        let kind = StepKind::Put(object);
        wire::WatchStep { kind: Some(kind) }
    }

    fn service(version: u64, created: i64, updated: i64, replicas: u32) -> wire::Service {
        let mut service = wire::Service::from(&test_objects::service(replicas));
        service.meta = Some(wire::Meta {
            version,
            created_at_ms: created,
            updated_at_ms: updated,
        });
        service
    }

    fn change(previous: u64, revision: u64, steps: Vec<wire::WatchStep>) -> wire::WatchEvent {
        let change = wire::WatchChange {
            revision,
            previous,
            at_ms: 7,
            steps,
        };
        let kind = Kind::Change(change);
        wire::WatchEvent { kind: Some(kind) }
    }

    fn rows(news: Result<News, Gap>) -> Vec<EventRow> {
        match news.unwrap() {
            News::Rows(rows) => rows,
            News::Missed { .. } => panic!("missed"),
        }
    }

    #[test]
    fn an_object_is_made_changed_and_removed() {
        let mut follower = Follower::new(4);
        let made = rows(follower.take(change(4, 5, vec![put(service(5, 1, 1, 2))])));
        assert_eq!(made[0].action, Action::Create);
        let changed = rows(follower.take(change(5, 6, vec![put(service(6, 1, 9, 5))])));
        assert_eq!(changed[0].action, Action::Update);
        assert_eq!(changed[0].changes.len(), 1, "{changed:?}");
        let key = wire::ObjectKey {
            kind: Some(wire::object_key::Kind::Service(changed[0].id.clone())),
        };
        let step = wire::WatchStep {
            kind: Some(StepKind::Deleted(wire::WatchDeleted {
                key: Some(key),
                name: "web".to_owned(),
            })),
        };
        let removed = rows(follower.take(change(6, 7, vec![step])));
        assert_eq!(
            (removed[0].action, removed[0].name.as_str()),
            (Action::Remove, "web")
        );
        assert_eq!(follower.told(), 7);
    }

    #[test]
    fn nothing_is_told_twice_and_a_gap_is_no_news() {
        let mut follower = Follower::new(4);
        let again = || change(4, 5, vec![put(service(5, 1, 1, 2))]);
        assert_eq!(rows(follower.take(again())).len(), 1);
        assert_eq!(rows(follower.take(again())), []);
        let gap = follower.take(change(6, 7, vec![put(service(7, 1, 1, 3))]));
        assert_eq!(gap, Err(Gap { told: 5, next: 7 }));
        assert_eq!(follower.told(), 5);
    }
}
