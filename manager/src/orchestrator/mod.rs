//! Which tasks there should be: creates, ends and forgets them. Never gives addresses or nodes.

mod orphan;
mod reap;
mod replicated;
mod restart;
mod slot;

#[cfg(test)]
mod tests;

use crate::store::State;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::time::Timestamp;

/// What to do, and when to look again even if nothing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order; each object at most once.
    pub changes: Vec<Change>,
    /// The next moment at which a delay ends.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// The steps that bring the tasks to what services and nodes ask for. Pure: `new_id` hands in the
/// identifiers of new tasks.
pub fn plan(state: &State, now: Timestamp, new_id: &mut dyn FnMut() -> TaskId) -> Plan {
    let mut plan = Plan::default();
    for service in state.services() {
        replicated::plan(state, service, now, new_id, &mut plan);
    }
    orphan::plan(state, now, &mut plan);
    reap::plan(state, &mut plan);
    plan
}
