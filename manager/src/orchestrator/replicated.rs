//! Services with a number of replicas: one wanted task in each of the slots 1 to N.

use crate::orchestrator::draft::Draft;
use crate::orchestrator::draft::Place;
use crate::orchestrator::keep;
use crate::orchestrator::seat::Seat;
use crate::orchestrator::slot::slots;
use weft_proto::object::Service;
use weft_proto::task_state::DesiredState;

/// Adds the steps for one service.
pub(super) fn plan(draft: &mut Draft<'_>, service: &Service, replicas: u32) {
    let mut slots = slots(draft.state, service.id);
    // The highest slots go first: they were placed last, so the spread of the rest stays even.
    let surplus = match replicas.checked_add(1) {
        Some(first) => slots.split_off(&first),
        None => std::collections::BTreeMap::new(),
    };
    for task in surplus.values().flat_map(|slot| &slot.tasks) {
        draft.end(task, DesiredState::Remove, "the service was scaled down");
    }
    let seats: Vec<Seat> = (1..=replicas)
        .map(|slot| Seat {
            place: Place {
                slot,
                node: None,
                iteration: 0,
            },
            slot: slots.remove(&slot).unwrap_or_default(),
        })
        .collect();
    keep::plan(draft, service, &seats);
}
