use crate::fixture::*;
use crate::orchestrator::Plan;
use crate::orchestrator::plan;
use crate::store::State;
use crate::store::apply;
use std::time::Duration;
use weft_proto::CommandId;
use weft_proto::command::Command;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::*;
use weft_proto::time::Timestamp;

/// A cluster whose agents are played by the test.
struct World {
    state: State,
    now: i64,
    ids: u128,
}

impl World {
    fn new(objects: Vec<Object>) -> World {
        World {
            state: state([vec![cluster().into()], objects].concat()),
            now: 1_000,
            ids: 500,
        }
    }

    fn plan(&mut self) -> Plan {
        let ids = &mut self.ids;
        plan(&self.state, Timestamp::from_millis(self.now), &mut || {
            *ids += 1;
            task_id(*ids)
        })
    }

    fn commit(&mut self, changes: Vec<weft_proto::command::Change>) {
        self.ids += 1;
        let command = Command {
            id: CommandId::from_entropy(self.ids),
            at: Timestamp::from_millis(self.now),
            changes,
            actor: None,
        };
        let applied = apply(&self.state, self.state.revision() + 1, &command);
        applied.result.unwrap();
        self.state = applied.state;
    }

    /// Plans and commits until there is nothing to do. New tasks go to node 1.
    fn settle(&mut self) {
        for _ in 0..50 {
            let changes = self.plan().changes;
            if changes.is_empty() {
                return;
            }
            self.commit(changes);
        }
        panic!("never settles: {:?}", self.plan());
    }

    fn service(&mut self, change: impl FnOnce(&mut Service)) {
        let mut service = Service::clone(self.state.services().next().unwrap());
        change(&mut service);
        self.commit(vec![weft_proto::command::Change::update(service)]);
    }

    fn node(&mut self, n: u128, change: impl FnOnce(&mut Node)) {
        let mut node = Node::clone(self.state.node(node_id(n)).unwrap());
        change(&mut node);
        self.commit(vec![weft_proto::command::Change::update(node)]);
    }

    fn set(&mut self, task: &Task, change: impl FnOnce(&mut Task)) {
        let mut task = Task::clone(self.state.task(task.id).unwrap());
        change(&mut task);
        self.commit(vec![weft_proto::command::Change::update(task)]);
    }

    /// Plays scheduler and agent: what is new runs on `node`, what is to end ends.
    fn agents(&mut self, node: u128) {
        for task in self.tasks() {
            let now = Timestamp::from_millis(self.now);
            let up = task.node.is_none_or(|id| {
                self.state
                    .node(id)
                    .is_some_and(|n| n.status.state == NodeState::Ready)
            });
            if task.desired > DesiredState::Running && !task.status.state.is_terminal() && up {
                self.set(&task, |task| {
                    task.status.state = TaskState::Shutdown;
                    task.status.at = now;
                });
            } else if task.status.state == TaskState::New {
                self.set(&task, |task| {
                    task.node = Some(node_id(node));
                    task.status.state = TaskState::Running;
                    task.status.at = now;
                });
            }
        }
    }

    fn run(&mut self, node: u128) {
        for _ in 0..20 {
            self.settle();
            self.agents(node);
        }
        self.settle();
    }

    fn tasks(&self) -> Vec<Task> {
        self.state.tasks().map(|task| Task::clone(task)).collect()
    }

    fn wanted(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.tasks().into_iter().filter(Task::is_wanted).collect();
        tasks.sort_by_key(|task| (task.slot, task.id));
        tasks
    }

    fn slots(&self) -> Vec<u32> {
        self.wanted().iter().map(|task| task.slot).collect()
    }
}

fn three() -> World {
    let mut world = World::new(vec![node(1).into(), node(2).into(), service(1, 3).into()]);
    world.run(1);
    world
}

fn scale(to: u32) -> impl FnOnce(&mut Service) {
    move |service| service.spec.mode = Mode::Replicated { replicas: to }
}

#[test]
fn a_service_gets_one_task_for_each_replica() {
    assert_eq!(three().slots(), [1, 2, 3]);
}

#[test]
fn scaling_down_takes_the_highest_slots_and_forgets_them() {
    let mut world = three();
    world.service(scale(1));
    world.run(1);
    assert_eq!(world.slots(), [1]);
    assert_eq!(world.tasks().len(), 1, "nothing is left of the others");
    world.service(scale(2));
    world.run(1);
    assert_eq!(world.slots(), [1, 2]);
}

#[test]
fn a_failed_task_is_replaced_in_its_slot_after_the_delay() {
    let mut world = three();
    let failed = world.wanted()[1].clone();
    let at = Timestamp::from_millis(world.now);
    world.set(&failed, |task| {
        task.status.state = TaskState::Failed;
        task.status.at = at;
    });
    let waiting = world.plan();
    assert_eq!(waiting.changes, []);
    assert_eq!(
        waiting.wake_at,
        Some(at.after(weft_proto::defaults::RESTART_DELAY))
    );
    world.now += 5_000;
    world.run(2);
    assert_eq!(world.slots(), [1, 2, 3]);
    assert_ne!(world.wanted()[1].id, failed.id);
}

#[test]
fn a_task_that_may_not_restart_stays_ended() {
    for (condition, end, restarts) in [
        (RestartCondition::None, TaskState::Failed, false),
        (RestartCondition::OnFailure, TaskState::Complete, false),
        (RestartCondition::OnFailure, TaskState::Failed, true),
        (RestartCondition::Any, TaskState::Complete, true),
    ] {
        let mut web = service(1, 1);
        web.spec.task.restart = RestartPolicy {
            condition,
            delay: Duration::ZERO,
            max_attempts: 0,
            window: Duration::ZERO,
        };
        let mut world = World::new(vec![node(1).into(), web.into()]);
        world.run(1);
        let task = world.wanted()[0].clone();
        world.set(&task, |task| task.status.state = end);
        world.run(1);
        assert_eq!(
            world.wanted().len(),
            usize::from(restarts),
            "{condition:?} {end:?}"
        );
    }
}

#[test]
fn attempts_are_bounded_when_the_policy_says_so() {
    let mut web = service(1, 1);
    web.spec.task.restart = RestartPolicy {
        condition: RestartCondition::Any,
        delay: Duration::ZERO,
        max_attempts: 2,
        window: Duration::ZERO,
    };
    let mut world = World::new(vec![node(1).into(), web.into()]);
    let mut runs = 0;
    for _ in 0..6 {
        world.run(1);
        if let Some(task) = world.wanted().first().cloned() {
            runs += 1;
            world.set(&task, |task| task.status.state = TaskState::Failed);
        }
    }
    assert_eq!(runs, 3, "the first run and two attempts");
}

#[test]
fn tasks_of_a_dead_node_are_replaced_at_once_and_stopped_when_it_returns() {
    let mut world = three();
    world.node(1, |node| node.status.state = NodeState::Down);
    world.run(2);
    assert_eq!(world.slots(), [1, 2, 3]);
    assert!(
        world
            .wanted()
            .iter()
            .all(|task| task.node == Some(node_id(2)))
    );
    world.node(1, |node| node.status.state = NodeState::Ready);
    world.run(2);
    let ghosts = world
        .tasks()
        .into_iter()
        .filter(|t| !t.status.state.is_terminal())
        .count();
    assert_eq!(ghosts, 3);
}

#[test]
fn a_drained_node_is_emptied() {
    let mut world = three();
    world.node(1, |node| node.spec.availability = Availability::Drain);
    world.run(2);
    assert!(
        world
            .wanted()
            .iter()
            .all(|task| task.node == Some(node_id(2)))
    );
    assert_eq!(world.slots(), [1, 2, 3]);
}

#[test]
fn tasks_of_a_removed_node_are_orphaned_and_replaced() {
    let mut world = three();
    let gone = Node::clone(world.state.node(node_id(1)).unwrap());
    world.commit(vec![weft_proto::command::Change::remove(gone)]);
    world.run(2);
    assert_eq!(world.slots(), [1, 2, 3]);
    let orphaned = world
        .tasks()
        .into_iter()
        .filter(|t| t.status.state == TaskState::Orphaned)
        .count();
    assert_eq!(orphaned, 3);
}

#[test]
fn an_update_replaces_one_slot_at_a_time() {
    let mut world = three();
    world.service(|service| service.spec.task.force_update = 1);
    let mut least = 3;
    for _ in 0..40 {
        let changes = world.plan().changes;
        if !changes.is_empty() {
            world.commit(changes);
        }
        let running = world
            .wanted()
            .iter()
            .filter(|t| t.status.state == TaskState::Running)
            .count();
        least = least.min(running);
        world.agents(1);
    }
    assert_eq!(least, 2, "one at a time");
    assert_eq!(world.slots(), [1, 2, 3]);
    assert!(
        world
            .wanted()
            .iter()
            .all(|task| task.spec.force_update == 1)
    );
}

#[test]
fn an_update_that_starts_first_never_has_fewer_than_all_running() {
    let mut web = service(1, 3);
    web.spec.update.order = UpdateOrder::StartFirst;
    let mut world = World::new(vec![node(1).into(), web.into()]);
    world.run(1);
    world.service(|service| service.spec.task.force_update = 1);
    for _ in 0..40 {
        let changes = world.plan().changes;
        if !changes.is_empty() {
            world.commit(changes);
        }
        let running = world
            .wanted()
            .iter()
            .filter(|t| t.status.state == TaskState::Running)
            .map(|t| t.slot)
            .collect::<std::collections::BTreeSet<_>>();
        assert_eq!(running.len(), 3);
        world.agents(1);
    }
    assert_eq!(world.wanted().len(), 3);
    assert!(
        world
            .wanted()
            .iter()
            .all(|task| task.spec.force_update == 1)
    );
}

#[test]
fn the_update_delay_is_kept_between_slots() {
    let mut world = three();
    world.service(|service| {
        service.spec.task.force_update = 1;
        service.spec.update.delay = Duration::from_secs(30);
    });
    world.run(1);
    let updated = |world: &World| {
        world
            .wanted()
            .iter()
            .filter(|task| task.spec.force_update == 1)
            .count()
    };
    assert_eq!(updated(&world), 1);
    world.now += 30_000;
    world.run(1);
    assert_eq!(updated(&world), 2);
    assert!(world.plan().wake_at.is_some());
}

#[test]
fn tasks_that_never_had_a_node_vanish_with_their_service() {
    let mut world = World::new(vec![service(1, 3).into()]);
    world.settle();
    assert_eq!(world.tasks().len(), 3);
    let gone = Service::clone(world.state.services().next().unwrap());
    world.commit(vec![weft_proto::command::Change::remove(gone)]);
    world.settle();
    assert_eq!(world.tasks().len(), 0);
}

#[test]
fn removing_a_service_stops_its_tasks_and_then_forgets_them() {
    let mut world = three();
    let gone = Service::clone(world.state.services().next().unwrap());
    world.commit(vec![weft_proto::command::Change::remove(gone)]);
    world.settle();
    assert!(
        world
            .tasks()
            .iter()
            .all(|task| task.desired == DesiredState::Remove)
    );
    world.run(1);
    assert_eq!(world.tasks().len(), 0);
}

#[test]
fn the_history_of_a_slot_is_bounded() {
    let mut web = service(1, 1);
    web.spec.task.restart.delay = Duration::ZERO;
    let mut world = World::new(vec![node(1).into(), web.into()]);
    for _ in 0..10 {
        world.run(1);
        let task = world.wanted()[0].clone();
        world.now += 1;
        let now = Timestamp::from_millis(world.now);
        world.set(&task, |task| {
            task.status.state = TaskState::Failed;
            task.status.at = now;
        });
    }
    world.run(1);
    assert_eq!(world.tasks().len(), 1 + weft_proto::defaults::TASK_HISTORY);
}

#[test]
fn a_task_of_a_bad_spec_does_not_hold_up_the_next_update() {
    let mut world = World::new(vec![service(1, 2).into()]);
    world.settle();
    world.service(|service| service.spec.task.force_update = 1);
    world.settle();
    assert!(
        world
            .wanted()
            .iter()
            .all(|task| task.spec.force_update == 1)
    );
    assert_eq!(world.slots(), [1, 2]);
}
