//! Services with one task on every node that may run it. A task's slot is its node's number.

use crate::orchestrator::draft::Draft;
use crate::orchestrator::draft::Place;
use crate::orchestrator::eligible::Seating;
use crate::orchestrator::eligible::seating;
use crate::orchestrator::keep;
use crate::orchestrator::seat::Seat;
use crate::orchestrator::slot::Slot;
use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::object::Node;
use weft_proto::object::Service;
use weft_proto::task_state::DesiredState;

/// Adds the steps for one service.
pub(super) fn plan(draft: &mut Draft<'_>, service: &Service) {
    let state = draft.state;
    let mut slots = by_node(state, service.id);
    let mut seats = Vec::new();
    for node in state.nodes() {
        let slot = slots.remove(&node.id).unwrap_or_default();
        match seating(node, &service.spec.task) {
            Seating::Yes => seats.push(Seat {
                place: place(node, 0),
                slot,
            }),
            Seating::AsIs => {}
            Seating::No(why) => leave(draft, &slot, &why),
        }
    }
    forget(draft, &slots);
    seats.sort_by_key(|seat| seat.place.slot);
    keep::plan(draft, service, &seats);
}

/// The service's tasks by node. By node and not by number, since numbers are given anew.
pub(super) fn by_node(state: &State, service: ServiceId) -> BTreeMap<NodeId, Slot> {
    let mut slots: BTreeMap<NodeId, Slot> = BTreeMap::new();
    for task in state.tasks_of_service(service) {
        if let Some(node) = task.node {
            slots.entry(node).or_default().tasks.push(task.clone());
        }
    }
    slots.values_mut().for_each(Slot::sort);
    slots
}

pub(super) fn place(node: &Node, iteration: u64) -> Place {
    Place {
        slot: node.number.get().into(),
        node: Some(node.id),
        iteration,
    }
}

/// The node is not one for this service: its tasks end, and their records stay.
fn leave(draft: &mut Draft<'_>, slot: &Slot, why: &str) {
    for task in &slot.tasks {
        draft.end(task, DesiredState::Shutdown, why);
    }
}

/// Nodes that were removed: nothing of them is kept.
pub(super) fn forget(draft: &mut Draft<'_>, slots: &BTreeMap<NodeId, Slot>) {
    for task in slots.values().flat_map(|slot| &slot.tasks) {
        draft.end(task, DesiredState::Remove, "its node was removed");
    }
}
