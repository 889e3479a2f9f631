//! Which tasks there should be: creates, ends and forgets them. Never gives addresses or nodes, except
//! that a task of a global service is made for one node.
//!
//! Everything is derived from the state, so that a new leader goes on where the last one stopped: how
//! far an update is and why it stopped stands in `Service::update`, the attempts of a restart policy
//! are the records of ended tasks, and deadlines count from times in the state. `UpdateStatus::started`
//! and `JobRun::started` are zero until a leader has seen them and writes its own time there, because
//! they are compared with the times of tasks, which are the leader's.
//!
//! # Planning only what changed
//!
//! ```text
//! affected(before, after, changed) -> Dirty      which services a set of changes touches
//! plan_dirty(after, &dirty, now, new_id) -> Plan decides for these only
//! agenda.planned(&dirty, &plan)                  remembers when each of them wants another look
//! agenda.due(now) -> Dirty                       whose moment has come
//! ```
//! A caller keeps the view it planned last (`before`), takes the keys that changed since (with
//! `Dirty::everything()` where they are not known any more), adds `agenda.due(now)`, and keeps a
//! `Dirty` until its plan was committed as a whole. [`Orchestrator`] is these four in one. `plan`
//! decides for all services.

mod count;
mod course;
mod dirty;
mod draft;
mod eligible;
mod follow;
mod global;
mod job;
mod keep;
mod note;
mod orphan;
mod reap;
mod replicated;
mod restart;
mod rollback;
mod rollover;
mod schedule;
mod seat;
mod slot;

#[cfg(test)]
mod tests;

pub use count::Count;
pub use count::count;
pub use course::NoPrevious;
pub use course::first_run;
pub use course::refreshed;
pub use course::rolled_back;
pub use course::updated;
pub use dirty::Agenda;
pub use dirty::Dirty;
pub use dirty::affected;
pub use follow::Orchestrator;
pub use note::Note;
pub use note::notes;
pub use rollback::restored;

use crate::orchestrator::draft::Draft;
use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::spec::Mode;
use weft_proto::time::Timestamp;

/// What to do, and when to look again even if nothing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order; each object at most once. Any beginning of it is safe to commit alone.
    pub changes: Vec<Change>,
    /// The next moment at which a delay ends.
    pub wake_at: Option<Timestamp>,
    /// The same for each service that waits for a moment.
    pub wakes: BTreeMap<ServiceId, Timestamp>,
}

/// The steps that bring the tasks to what services and nodes ask for. Pure: `new_id` hands in the
/// identifiers of new tasks.
pub fn plan(state: &State, now: Timestamp, new_id: &mut dyn FnMut() -> TaskId) -> Plan {
    plan_dirty(state, &Dirty::everything(), now, new_id)
}

/// The same for the services that changes touched, see [`affected`].
pub fn plan_dirty(
    state: &State,
    dirty: &Dirty,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
) -> Plan {
    let mut plan = Plan::default();
    for id in dirty.services(state) {
        let mut draft = Draft::new(state, now, new_id);
        plan_service(&mut draft, id);
        draft.finish(id, &mut plan);
    }
    plan
}

fn plan_service(draft: &mut Draft<'_>, id: ServiceId) {
    let state = draft.state;
    if let Some(service) = state.service(id) {
        match service.spec.mode {
            Mode::Replicated { replicas } => replicated::plan(draft, service, replicas),
            Mode::Global => global::plan(draft, service),
            Mode::ReplicatedJob { .. } | Mode::GlobalJob => job::plan(draft, service),
        }
    }
    orphan::plan(draft, id);
    reap::plan(draft, id);
}
