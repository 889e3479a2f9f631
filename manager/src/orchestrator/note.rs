//! What tasks wait for and until when, in words: those that ended and have no successor yet, and those
//! that serve until another one does.

use crate::orchestrator::draft::Place;
use crate::orchestrator::keep::MOVE_DEADLINE;
use crate::orchestrator::restart;
use crate::orchestrator::rollover;
use crate::orchestrator::seat::Seat;
use crate::orchestrator::seat::Sorted;
use crate::orchestrator::seat::Stale;
use crate::orchestrator::slot::slots;
use crate::store::State;
use std::collections::BTreeMap;
use std::time::Duration;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::object::Service;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// In words for people.
    pub why: String,
    /// When the wait ends, if anything is known of that.
    pub until: Option<Timestamp>,
}

/// For each task of the service that ended by itself and has no successor yet: whether and when it gets
/// one, and how many attempts were used. For each that is to be replaced: why, and when its turn comes.
pub fn notes(state: &State, service: ServiceId) -> BTreeMap<TaskId, Note> {
    let slots = slots(state, service);
    let mut notes = BTreeMap::new();
    for slot in slots.values() {
        if let Some(task) = slot.ended() {
            let until = restart::due(slot, task);
            let why = restart::words(slot, task);
            notes.insert(task.id, Note { why, until });
        }
    }
    let Some(service) = state.service(service).filter(|s| !s.spec.mode.is_job()) else {
        return notes;
    };
    let frozen = rollover::is_paused(service);
    let sorted: Vec<Sorted> = slots
        .into_iter()
        .map(|(number, slot)| {
            let place = Place {
                slot: number,
                node: None,
                iteration: 0,
            };
            Seat { place, slot }.sort(state, service, frozen)
        })
        .collect();
    let turn = next_turn(service, &sorted);
    for stale in sorted.iter().flat_map(|sorted| &sorted.stale) {
        notes.insert(stale.task.id, replaced(state, service, stale, turn));
    }
    notes
}

/// When the pause after the last replacement of an update is over.
fn next_turn(service: &Service, sorted: &[Sorted]) -> Option<Timestamp> {
    let update = service.update.as_ref().filter(|s| !s.state.has_ended())?;
    let config = match update.state.is_rollback() {
        true => service.spec.rollback,
        false => service.spec.update,
    };
    let replaced = sorted.iter().filter_map(|sorted| sorted.good.first());
    let replaced = replaced.filter(|task| {
        task.status.state == TaskState::Running && task.meta.created_at >= update.started
    });
    let last = replaced.map(|task| task.status.at).max()?;
    (config.delay > Duration::ZERO).then(|| last.after(config.delay))
}

fn replaced(state: &State, service: &Service, stale: &Stale, turn: Option<Timestamp>) -> Note {
    if stale.moved {
        let node = stale.task.node.and_then(|id| state.node(id));
        return Note {
            why: format!("{}; serves until another one runs", stale.why),
            until: node.map(|node| node.meta.updated_at.after(MOVE_DEADLINE)),
        };
    }
    let rollback = service
        .update
        .as_ref()
        .is_some_and(|s| s.state.is_rollback());
    let what = if rollback { "rollback" } else { "update" };
    Note {
        why: format!("waits for its turn in the {what}"),
        until: turn,
    }
}
