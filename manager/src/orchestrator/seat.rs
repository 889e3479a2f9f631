//! One place in which a service keeps one task: a slot, or a node of a global service.

use crate::orchestrator::draft::Place;
use crate::orchestrator::eligible::Leave;
use crate::orchestrator::eligible::must_leave;
use crate::orchestrator::slot::Slot;
use crate::orchestrator::slot::is_current;
use crate::store::State;
use std::sync::Arc;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;

#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) place: Place,
    pub(super) slot: Slot,
}

/// The wanted tasks of a seat, by what is to become of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorted {
    /// As asked for; the one that stays first.
    pub(super) good: Vec<Arc<Task>>,
    /// They serve until another one does: of an old spec, or where they cannot stay.
    pub(super) stale: Vec<Stale>,
    /// They serve nobody, and end at once.
    pub(super) useless: Vec<(Arc<Task>, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Stale {
    pub(super) task: Arc<Task>,
    pub(super) why: String,
    /// It cannot stay where it is.
    pub(super) moved: bool,
}

impl Seat {
    /// `frozen`: an update is paused, so that tasks of every spec are as good.
    pub(super) fn sort(&self, state: &State, service: &Service, frozen: bool) -> Sorted {
        let mut sorted = Sorted::default();
        for task in self.slot.wanted() {
            let serves = task.status.state == TaskState::Running;
            let stale = |why: String, moved: bool| Stale {
                task: task.clone(),
                why,
                moved,
            };
            let stale = match must_leave(state, task) {
                Some(Leave::Lost(why)) => {
                    sorted.useless.push((task.clone(), why.to_owned()));
                    continue;
                }
                Some(Leave::Moved(why)) => stale(why, true),
                None if frozen || is_current(task, service) => {
                    sorted.good.push(task.clone());
                    continue;
                }
                None => stale(changed(service).to_owned(), false),
            };
            if serves {
                sorted.stale.push(stale);
            } else {
                // It does not wait for its turn.
                sorted.useless.push((stale.task, stale.why));
            }
        }
        let good = &mut sorted.good;
        good.sort_by_key(|task| task.status.state != TaskState::Running);
        let surplus = good.drain(1.min(good.len())..);
        let needless = "another task has its place".to_owned();
        let surplus = surplus.map(|task| (task, needless.clone()));
        sorted.useless.extend(surplus);
        sorted
    }

    /// The last task that ended by itself and is as asked for: the policy decides about it. One of
    /// an old spec says nothing about the present one.
    pub(super) fn ended(&self, service: &Service, frozen: bool) -> Option<&Arc<Task>> {
        let ended = self.slot.ended()?;
        (frozen || is_current(ended, service)).then_some(ended)
    }
}

/// Why a task of another spec goes.
fn changed(service: &Service) -> &'static str {
    match &service.update {
        Some(status) if status.state.is_rollback() => "the service was rolled back",
        Some(_) | None => "the service was updated",
    }
}
