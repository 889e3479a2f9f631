//! The scheduler that goes on from round to round, against one that begins anew each time.

use crate::fixture::*;
use crate::scheduler::Scheduler;
use crate::scheduler::plan;
use crate::store::Store;
use proptest::prelude::*;
use std::collections::BTreeSet;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::object::*;
use weft_proto::spec::Availability;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// A state that changes step by step, and a scheduler that follows it.
struct Rig {
    store: Store,
    scheduler: Scheduler,
    seen: u64,
}

impl Rig {
    fn new(objects: Vec<Object>) -> Rig {
        let mut rig = Rig {
            store: Store::default(),
            scheduler: Scheduler::default(),
            seen: 0,
        };
        rig.write(objects.into_iter().map(Change::create).collect());
        rig.scheduler.follow(&rig.store.view(), None);
        rig.seen = rig.store.view().revision();
        rig
    }

    fn write(&self, changes: Vec<Change>) {
        let index = self.store.view().revision() + 1;
        let command = Command {
            id: CommandId::from_entropy(u128::from(index)),
            at: self.now(),
            changes,
            actor: None,
        };
        self.store.apply(index, &command).unwrap();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.store.view().revision()).unwrap() * 100)
    }

    fn follow(&mut self) {
        let sets = self.store.changes_since(self.seen).unwrap();
        let changed = sets
            .iter()
            .flat_map(|set| set.changed.iter().copied())
            .collect();
        self.scheduler.follow(&self.store.view(), Some(&changed));
        self.seen = self.store.view().revision();
    }

    fn plan(&mut self) -> Vec<Change> {
        let now = self.now();
        let placed = self.scheduler.plan(Vec::new(), &BTreeSet::new(), now);
        placed.tasks.into_iter().map(Change::update).collect()
    }
}

fn pending(n: u128, service: &Service) -> Task {
    let slot = u32::try_from(n).unwrap();
    task(n, service).slot(slot).state(TaskState::Pending)
}

#[test]
fn a_plan_that_did_not_become_state_holds_nothing() {
    let mut web = service(1, 1);
    web.spec.task.reservations.nano_cpus = 3_000_000_000;
    let objects: Vec<Object> = vec![
        cluster().into(),
        node(1).into(),
        web.clone().into(),
        pending(1, &web).into(),
    ];
    let mut rig = Rig::new(objects);
    assert_eq!(rig.plan().len(), 1);
    assert_eq!(rig.plan(), [], "nothing new, nothing to do");
    rig.scheduler.again();
    rig.follow();
    assert_eq!(rig.plan().len(), 1, "the room that it took is free again");
}

#[test]
fn a_task_that_waits_is_looked_at_only_when_there_may_be_room() {
    let mut web = service(1, 2);
    web.spec.task.reservations.nano_cpus = 3_000_000_000;
    let first = pending(1, &web);
    let mut rig = Rig::new(vec![
        cluster().into(),
        node(1).into(),
        web.clone().into(),
        first.into(),
        pending(2, &web).into(),
    ]);
    let placed = rig.plan();
    assert_eq!(placed.len(), 2, "one has a node, one a reason");
    rig.write(placed);
    rig.follow();
    assert_eq!(rig.plan(), []);
    let mut ended = Task::clone(rig.store.view().task(task_id(1)).unwrap());
    ended.status.state = TaskState::Complete;
    rig.write(vec![Change::update(ended)]);
    rig.follow();
    let placed = rig.plan();
    assert!(
        matches!(&placed[..], [Change::Put { object: Object::Task(task), .. }]
            if task.id == task_id(2) && task.node == Some(node_id(1))),
        "{placed:?}"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    End(u8),
    Leave(u8),
    Remove(u8),
    Fail(u8),
    Drain(u8, bool),
    NodeGone(u8),
    NodeBack(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Create),
        1 => any::<u8>().prop_map(Step::End),
        1 => any::<u8>().prop_map(Step::Leave),
        1 => any::<u8>().prop_map(Step::Remove),
        1 => any::<u8>().prop_map(Step::Fail),
        1 => (1..5_u8, any::<bool>()).prop_map(|(n, drain)| Step::Drain(n, drain)),
        1 => (1..5_u8).prop_map(Step::NodeGone),
        1 => (1..5_u8).prop_map(Step::NodeBack),
    ]
}

/// The changes of a step; none when there is nothing that it fits.
fn changes(rig: &Rig, step: &Step, next: &mut u128) -> Vec<Change> {
    let view = rig.store.view();
    let a_task = |n: u8| {
        let tasks: Vec<_> = view.tasks().collect();
        let at = usize::from(n).checked_rem(tasks.len())?;
        Some(Task::clone(tasks[at]))
    };
    let moved = |n: u8, state: TaskState| {
        a_task(n)
            .filter(|task| task.node.is_some() && task.status.state < state)
            .map(|mut task| {
                task.status.state = state;
                task.status.at = rig.now();
                Change::update(task)
            })
    };
    let change = match step {
        Step::Create(n) => {
            *next += 1;
            let services: Vec<_> = view.services().collect();
            let service = services[usize::from(*n) % services.len()];
            Some(Change::create(pending(*next, service)))
        }
        Step::End(n) => moved(*n, TaskState::Complete),
        Step::Fail(n) => moved(*n, TaskState::Failed),
        Step::Leave(n) => a_task(*n).filter(Task::is_wanted).map(|mut task| {
            task.desired = DesiredState::Shutdown;
            Change::update(task)
        }),
        Step::Remove(n) => a_task(*n).map(Change::remove),
        Step::Drain(n, drain) => view.node(node_id(u128::from(*n))).map(|node| {
            let mut node = Node::clone(node);
            let asked = if *drain {
                Availability::Drain
            } else {
                Availability::Active
            };
            node.spec.availability = asked;
            Change::update(node)
        }),
        Step::NodeGone(n) => {
            let node = view.node(node_id(u128::from(*n)));
            node.map(|node| Change::remove(Node::clone(node)))
        }
        Step::NodeBack(n) => {
            let gone = view.node(node_id(u128::from(*n))).is_none();
            gone.then(|| Change::create(node(u16::from(*n))))
        }
    };
    change.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn rounds_place_as_a_scheduler_that_begins_anew(steps in prop::collection::vec(step(), 1..80)) {
        let mut services = vec![service(1, 1), service(2, 1), service(3, 1)];
        services[0].spec.task.reservations.nano_cpus = 1_500_000_000;
        services[1].spec.task.reserved_generic.insert("gpu".to_owned(), 1);
        services[2].spec.task.max_per_node = std::num::NonZeroU32::new(2);
        let mut objects: Vec<Object> = vec![cluster().into()];
        for n in 1..5 {
            let mut node = node(n);
            node.description.generic.insert("gpu".to_owned(), 2);
            objects.push(node.into());
        }
        objects.extend(services.into_iter().map(Object::from));
        let mut rig = Rig::new(objects);
        let mut next = 0;
        for step in steps {
            let changes = changes(&rig, &step, &mut next);
            if !changes.is_empty() {
                rig.write(changes);
            }
            rig.follow();
            let view = rig.store.view();
            let nodes_of = |changes: &[Change]| -> BTreeSet<_> {
                let tasks = changes.iter().filter_map(|change| match change {
                    Change::Put { object: Object::Task(task), .. } => Some((task.id, task.node?)),
                    Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => None,
                });
                tasks.collect()
            };
            let anew = plan(&view, rig.now());
            let planned = rig.plan();
            prop_assert_eq!(nodes_of(&planned), nodes_of(&anew), "after {:?}", step);
            if !planned.is_empty() {
                rig.write(planned);
            }
        }
    }
}
