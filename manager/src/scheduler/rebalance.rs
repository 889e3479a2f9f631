//! Which tasks should move so that a service is spread as if it were placed now. Pure; only on
//! request, as every move ends a task that runs.

use crate::scheduler::choose::Choice;
use crate::scheduler::choose::Wanted;
use crate::scheduler::index::NodeIndex;
use crate::store::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// The tasks of a service that run where there are too many of them, the highest slots first; no
/// more than the service's update may replace at a time, less those that do not run just now. Asked
/// again after each move it comes to an end: then every group of nodes has its share.
pub fn rebalance(state: &State, service: ServiceId, now: Timestamp) -> Vec<TaskId> {
    let Some(service) = state.service(service) else {
        return Vec::new();
    };
    let wanted: Vec<&Arc<Task>> = state
        .tasks_of_service(service.id)
        .filter(|task| task.is_wanted())
        .collect();
    let (running, idle): (Vec<&Arc<Task>>, Vec<&Arc<Task>>) = wanted
        .into_iter()
        .partition(|task| task.status.state == TaskState::Running);
    let limit = match service.spec.update.parallelism {
        0 => usize::MAX,
        parallelism => usize::try_from(parallelism).unwrap_or(usize::MAX),
    };
    let room = limit.saturating_sub(idle.len());

    // As if none of them had a node.
    let mut index = NodeIndex::of(state);
    let mut here: BTreeMap<NodeId, Vec<&Arc<Task>>> = BTreeMap::new();
    for task in &running {
        index.remove(task);
        if let Some(node) = task.node {
            here.entry(node).or_default().push(task);
        }
    }
    let mut share: BTreeMap<NodeId, usize> = BTreeMap::new();
    let wanted = Wanted {
        service: service.id,
        spec: service.spec.task.clone(),
        now,
    };
    let mut choice = Choice::new(&index, wanted);
    for task in &running {
        let placed = choice.place(&mut index, &mut |info| {
            let mut task = Task::clone(task);
            task.node = Some(info.node.id);
            task
        });
        // Without room for all of them nothing is won by moving any.
        let Some(node) = placed.and_then(|task| task.node) else {
            return Vec::new();
        };
        *share.entry(node).or_default() += 1;
    }
    let most = share.values().max().copied().unwrap_or_default();
    let mut surplus: Vec<&Arc<Task>> = Vec::new();
    for (node, mut tasks) in here {
        tasks.sort_by_key(|task| (task.slot, task.id));
        let mut share = share.get(&node).copied().unwrap_or_default();
        // Of counts that differ by one it does not matter which node has the greater one.
        if tasks.len() == share + 1 && tasks.len() <= most {
            share = tasks.len();
        }
        surplus.extend(tasks.into_iter().skip(share));
    }
    surplus.sort_by_key(|task| std::cmp::Reverse((task.slot, task.id)));
    surplus.into_iter().take(room).map(|task| task.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use weft_proto::object::Object;
    use weft_proto::object::Service;

    fn on(service: &Service, slots: std::ops::RangeInclusive<u32>, n: u16) -> Vec<Object> {
        let tasks = slots.map(|slot| {
            let task = task(u128::from(slot), service).slot(slot).on(&node(n));
            Object::from(task.state(TaskState::Running))
        });
        tasks.collect()
    }

    fn moves(parallelism: u32, tasks: impl Fn(&Service) -> Vec<Object>) -> Vec<TaskId> {
        let mut web = service(1, 6);
        web.spec.update.parallelism = parallelism;
        let nodes = (1..=3).map(|n| Object::from(node(n)));
        let objects = [cluster().into(), web.clone().into()];
        let objects = objects.into_iter().chain(nodes).chain(tasks(&web));
        rebalance(&state(objects.collect()), web.id, Timestamp::default())
    }

    #[test]
    fn tasks_above_a_nodes_share_move_as_many_at_a_time_as_an_update_may_replace() {
        let crowded = |web: &Service| [on(web, 1..=5, 1), on(web, 6..=6, 2)].concat();
        assert_eq!(moves(0, crowded), [task_id(5), task_id(4), task_id(3)]);
        assert_eq!(moves(1, crowded), [task_id(5)]);
        let even = |web: &Service| [on(web, 1..=2, 1), on(web, 3..=4, 2), on(web, 5..=6, 3)];
        assert_eq!(moves(0, |web| even(web).concat()), []);
        let odd = |web: &Service| [on(web, 1..=1, 1), on(web, 2..=3, 2), on(web, 4..=4, 3)];
        assert_eq!(moves(0, |web| odd(web).concat()), []);
    }
}
