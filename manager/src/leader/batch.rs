//! Changes in transactions: each small enough for the log, and none that a part of is worth less
//! than nothing.

use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::ServiceId;
use weft_proto::command::Change;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;

/// Most changes in one transaction: a conflict in one of them costs the others another round.
const CHANGES: usize = 1_000;
/// About so many bytes in one transaction: half of what a log entry may be, as sizes are guessed.
const BYTES: usize = 512 << 10;
/// What a change takes besides its spec: identifiers, addresses, status.
const OVERHEAD: usize = 512;

/// What must change together or not at all: an old task must not go when its successor does not
/// come, nor the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Slot(ServiceId, u32),
    Other(usize),
}

/// The changes in batches, in order, those of one slot of a service in one batch.
pub(super) fn batches(state: &State, changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut order: Vec<(Vec<Change>, usize)> = Vec::new();
    let mut places: BTreeMap<Unit, usize> = BTreeMap::new();
    for (at, change) in changes.into_iter().enumerate() {
        let unit = unit(state, &change).unwrap_or(Unit::Other(at));
        let place = *places.entry(unit).or_insert_with(|| {
            order.push((Vec::new(), 0));
            order.len() - 1
        });
        if let Some((unit, size)) = order.get_mut(place) {
            *size += guess(&change);
            unit.push(change);
        }
    }
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (unit, size) in order {
        let full = batch.len() + unit.len() > CHANGES || bytes + size > BYTES;
        if full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        batch.extend(unit);
        bytes += size;
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

fn unit(state: &State, change: &Change) -> Option<Unit> {
    let of = |service, slot| Some(Unit::Slot(service, slot));
    match change {
        Change::Put {
            object: Object::Task(task),
            ..
        } => of(task.service, task.slot),
        Change::Delete {
            key: ObjectKey::Task(id),
            ..
        } => state.task(*id).and_then(|task| of(task.service, task.slot)),
        Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => None,
    }
}

/// About how many bytes a change is in the log.
fn guess(change: &Change) -> usize {
    let texts = |texts: &[String]| texts.iter().map(|text| text.len() + 4).sum::<usize>();
    match change {
        Change::Put {
            object: Object::Task(task),
            ..
        } => {
            let spec = &task.spec;
            let nets = spec.networks.iter().map(|net| 64 + net.aliases.len() * 32);
            OVERHEAD
                + texts(&spec.command)
                + texts(&spec.env)
                + nets.sum::<usize>()
                + spec.constraints.len() * 64
                + task.status.message.len()
                + task.status.error.len()
        }
        // Rare and of any size: a few to a batch.
        Change::Put { .. } => 16 << 10,
        Change::Delete { .. } | Change::Guard { .. } => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn a_slots_changes_stay_together_and_batches_are_bounded() {
        let web = service(1, 1);
        let old: Vec<Object> = (0..1500_u32)
            .map(|n| task(n.into(), &web).slot(n + 1).into())
            .collect();
        let state = state(old);
        let ends = state.tasks().map(|task| Change::remove((**task).clone()));
        let news =
            (0..1500_u32).map(|n| Change::create(task(u128::from(n) + 5000, &web).slot(n + 1)));
        let batches = batches(&state, ends.chain(news).collect());
        let slots = |batch: &Vec<Change>| -> std::collections::BTreeSet<Option<Unit>> {
            batch.iter().map(|change| unit(&state, change)).collect()
        };
        for batch in &batches {
            assert!(batch.len() <= CHANGES);
            assert_eq!(batch.len(), 2 * slots(batch).len(), "both of a slot");
        }
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 3000);
        assert!(batches.len() <= 4, "{}", batches.len());
    }

    #[test]
    fn large_specs_make_small_batches() {
        let mut web = service(1, 1);
        web.spec.task.env = vec!["x".repeat(100_000)];
        let news = (0..20_u32).map(|n| Change::create(task(n.into(), &web).slot(n + 1)));
        let batches = batches(&State::default(), news.collect());
        assert!(batches.iter().all(|batch| batch.len() <= 5));
    }
}
