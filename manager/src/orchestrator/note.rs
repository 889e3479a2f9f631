//! What becomes of the slots of tasks that ended, in words.

use crate::orchestrator::restart;
use crate::orchestrator::slot::slots;
use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::ServiceId;
use weft_proto::TaskId;

/// For each task of the service that ended by itself and has no successor yet: whether and when it gets
/// one, and how many attempts were used.
pub fn notes(state: &State, service: ServiceId) -> BTreeMap<TaskId, String> {
    let slots = slots(state, service);
    let ended = slots
        .values()
        .filter_map(|slot| Some((slot, slot.ended()?)));
    ended
        .map(|(slot, task)| (task.id, restart::words(slot, task)))
        .collect()
}
