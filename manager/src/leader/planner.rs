//! One round of the cluster's decisions: which tasks there should be, their addresses, their nodes.
//! Pure: the rooms that decide never see each other, and their decisions become one transaction.
//!
//! A task that is made gets its addresses and its node in the same round. So it costs the log one
//! change instead of three, and nobody waits for two commits in between.

use crate::allocator::Allocator;
use crate::material;
use crate::orchestrator::Orchestrator;
use crate::scheduler::Scheduler;
use crate::store::ChangeSet;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// What to do, and when to look again even if nothing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// In order; each object at most once.
    pub changes: Vec<Change>,
    /// The next moment at which a delay ends.
    pub wake_at: Option<Timestamp>,
}

/// Decides round after round, and keeps what it knows of the state in between.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    orchestrator: Orchestrator,
    allocator: Allocator,
    scheduler: Scheduler,
}

impl Planner {
    /// Decides on a state. `changed`: what changed since the state of the last round; `None` when
    /// that is not known, or in the first one. `new_id` hands in the identifiers of new tasks.
    pub fn round(
        &mut self,
        state: &State,
        changed: Option<&[Arc<ChangeSet>]>,
        now: Timestamp,
        new_id: &mut dyn FnMut() -> TaskId,
    ) -> Round {
        let changed: Option<BTreeSet<ObjectKey>> = changed.map(|sets| {
            let keys = sets.iter().flat_map(|set| &set.changed);
            keys.copied().collect()
        });
        self.allocator.follow(state, changed.as_ref());
        self.scheduler.follow(state, changed.as_ref());
        let whole = changed.is_none();
        let keys = changed.map(|changed| changed.into_iter().collect::<Vec<_>>());
        self.orchestrator.follow(state, keys.as_deref());
        let plan = self.orchestrator.plan(now, new_id);

        let (mut drafts, mut others, mut services) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for change in &plan.changes {
            match change {
                Change::Put {
                    object: Object::Task(task),
                    ..
                } => {
                    others.insert(task.id);
                    drafts.push(task.clone());
                }
                Change::Delete {
                    key: ObjectKey::Task(id),
                    ..
                } => _ = others.insert(*id),
                Change::Put {
                    object: Object::Service(service),
                    ..
                } => _ = services.insert(service.id),
                Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => {}
            }
        }
        let complete = self.allocator.plan_services(&services);
        let mut decided: BTreeMap<TaskId, Task> = BTreeMap::new();
        let pending = |task: &Task| task.status.state == TaskState::Pending;
        let known: Vec<Task> = drafts
            .iter()
            .filter(|task| pending(task))
            .cloned()
            .collect();
        let addressed = self.allocator.plan(drafts, &others, now);
        let with_address = addressed.iter().filter(|task| pending(task)).cloned();
        let to_place = known.into_iter().chain(with_address).collect();
        others.extend(addressed.iter().map(|task| task.id));
        let placed = self.scheduler.plan(to_place, &others, now);
        // Who comes later in a task's life has the last word.
        for task in addressed.into_iter().chain(placed.tasks) {
            decided.insert(task.id, task);
        }
        let mut changes: Vec<Change> = complete.into_iter().map(Change::update).collect();
        changes.extend(merge(plan.changes, decided));
        // Nobody waits for it: often enough when everything is looked at.
        if whole {
            changes.extend(material::forgotten(state));
        }
        Round {
            changes,
            wake_at: [plan.wake_at, placed.wake_at].into_iter().flatten().min(),
        }
    }

    /// The last round, or a part of it, did not become state.
    pub fn again(&mut self) {
        self.orchestrator.again();
        self.allocator.again();
        self.scheduler.again();
    }
}

/// The orchestrator's changes, with its tasks as the others left them, then the tasks that only
/// the others changed.
fn merge(mut changes: Vec<Change>, mut decided: BTreeMap<TaskId, Task>) -> Vec<Change> {
    for change in &mut changes {
        if let Change::Put {
            object: Object::Task(task),
            ..
        } = change
            && let Some(next) = decided.remove(&task.id)
        {
            *task = next;
        }
    }
    changes.extend(decided.into_values().map(Change::update));
    changes
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
