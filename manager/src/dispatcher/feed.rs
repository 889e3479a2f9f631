//! What an agent was told so far, and what to tell it next. Pure.

use crate::dispatcher::assignment::Part;
use crate::dispatcher::assignment::assignments_for;
use crate::dispatcher::assignment::diff;
use crate::dispatcher::assignment::managers;
use crate::store::ChangeSet;
use crate::store::State;
use crate::store::View;
use std::net::SocketAddr;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::assignment::Assignments;
use weft_proto::object::ObjectKey;

/// What one agent was told in one session.
#[derive(Debug)]
pub(super) struct Feed {
    node: NodeId,
    /// The state that was looked at last.
    seen: View,
    part: Part,
    managers: Vec<SocketAddr>,
    /// The last revision the agent was told.
    told: u64,
}

impl Feed {
    /// Begins with everything.
    pub(super) fn begin(node: NodeId, view: View) -> (Feed, Assignments) {
        let part = assignments_for(&view, node);
        let managers = managers(&view);
        let snapshot = Assignments {
            revision: view.revision(),
            snapshot: true,
            upserts: part.values().cloned().collect(),
            removals: Vec::new(),
            managers: managers.clone(),
        };
        let told = view.revision();
        let feed = Feed {
            node,
            seen: view,
            part,
            managers,
            told,
        };
        (feed, snapshot)
    }

    /// The revision of the state that was looked at last.
    pub(super) fn seen(&self) -> u64 {
        self.seen.revision()
    }

    /// The last revision the agent was told.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Nothing new: what a heartbeat is answered with, so that an agent notices a silent manager.
    pub(super) fn nothing_new(&self) -> Assignments {
        Assignments {
            revision: self.told,
            snapshot: false,
            upserts: Vec::new(),
            removals: Vec::new(),
            managers: self.managers.clone(),
        }
    }

    /// Looks at a newer state. `changed` is what changed since [`Feed::seen`], or `None` when that is
    /// not known. A revision that changes nothing for the node is told only when `progress` is due.
    pub(super) fn look(
        &mut self,
        view: View,
        changed: Option<&[Arc<ChangeSet>]>,
        progress: bool,
    ) -> Option<Assignments> {
        let concerned = changed.is_none_or(|sets| {
            sets.iter()
                .flat_map(|set| &set.changed)
                .any(|key| concerns_nodes(&self.seen, &view, *key))
        });
        self.seen = view;
        let (mut upserts, mut removals, mut moved) = (Vec::new(), Vec::new(), false);
        if concerned {
            let part = assignments_for(&self.seen, self.node);
            let managers = managers(&self.seen);
            (upserts, removals) = diff(&self.part, &part);
            moved = managers != self.managers;
            self.part = part;
            self.managers = managers;
        }
        let news = moved || !upserts.is_empty() || !removals.is_empty();
        let revision = self.seen.revision();
        let overdue = progress && revision > self.told;
        if !news && !overdue {
            return None;
        }
        self.told = revision;
        Some(Assignments {
            revision,
            snapshot: false,
            upserts,
            removals,
            managers: self.managers.clone(),
        })
    }
}

/// Whether a changed object can be part of what any node knows. Tasks that wait for a node are what
/// changes most while much is started, and no node knows them.
fn concerns_nodes(old: &State, new: &State, key: ObjectKey) -> bool {
    let has_node = |state: &State, id| state.task(id).is_some_and(|task| task.node.is_some());
    match key {
        ObjectKey::Task(id) => has_node(old, id) || has_node(new, id),
        ObjectKey::Cluster | ObjectKey::Node(_) | ObjectKey::Network(_) | ObjectKey::Service(_) => {
            true
        }
    }
}
