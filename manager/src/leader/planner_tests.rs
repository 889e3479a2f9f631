use super::*;
use crate::fixture::*;
use crate::store::Store;
use weft_proto::CommandId;
use weft_proto::command::Command;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::DesiredState;

struct Rig {
    store: Store,
    planner: Planner,
    seen: Option<u64>,
    next: u128,
}

impl Rig {
    fn new(objects: Vec<Object>) -> Rig {
        let rig = Rig {
            store: Store::default(),
            planner: Planner::default(),
            seen: None,
            next: 0,
        };
        rig.write(objects.into_iter().map(Change::create).collect());
        rig
    }

    fn write(&self, changes: Vec<Change>) {
        let index = self.store.view().revision() + 1;
        let command = Command {
            id: CommandId::from_entropy(u128::from(index)),
            at: Timestamp::from_millis(1),
            changes,
            actor: None,
        };
        self.store.apply(index, &command).unwrap();
    }

    fn round(&mut self) -> Vec<Change> {
        let view = self.store.view();
        let changed = self
            .seen
            .map(|seen| self.store.changes_since(seen).unwrap());
        self.seen = Some(view.revision());
        let next = &mut self.next;
        let mut new_id = || {
            *next += 1;
            task_id(*next)
        };
        let now = Timestamp::from_millis(1_000);
        let round = self
            .planner
            .round(&view, changed.as_deref(), now, &mut new_id);
        round.changes
    }

    fn tasks(&self) -> Vec<Task> {
        self.store
            .view()
            .tasks()
            .map(|task| Task::clone(task))
            .collect()
    }
}

fn attached(replicas: u32) -> Service {
    let mut service = service(1, replicas);
    service.spec.task.networks = vec![NetworkRef {
        id: network_id(1),
        aliases: vec![],
    }];
    // No virtual address: it would be given in the same round.
    service.spec.endpoint_mode = EndpointMode::Dnsrr;
    service
}

#[test]
fn a_new_task_has_its_addresses_and_its_node_in_one_change() {
    let mut rig = Rig::new(vec![
        cluster().into(),
        network(1).into(),
        node(1).into(),
        node(2).into(),
        attached(4).into(),
    ]);
    let changes = rig.round();
    assert_eq!(changes.len(), 4);
    rig.write(changes);
    for task in rig.tasks() {
        assert_eq!(task.status.state, TaskState::Assigned);
        assert!(task.addresses.contains_key(&network_id(1)));
        assert!(task.node.is_some() && task.ingress_addr.is_some());
    }
    assert_eq!(rig.round(), [], "nothing is left to do");
}

#[test]
fn a_round_that_was_lost_is_decided_again_with_the_same_room() {
    let mut web = attached(2);
    web.spec.task.reservations.nano_cpus = 2_000_000_000;
    let mut rig = Rig::new(vec![
        cluster().into(),
        network(1).into(),
        node(1).into(),
        web.into(),
    ]);
    let lost = rig.round();
    assert_eq!(lost.len(), 2);
    rig.planner.again();
    let changes = rig.round();
    assert_eq!(changes.len(), 2);
    rig.write(changes);
    let tasks = rig.tasks();
    assert!(
        tasks
            .iter()
            .all(|task| task.status.state == TaskState::Assigned)
    );
}

#[test]
fn a_pending_task_that_is_ended_in_the_same_round_is_not_placed() {
    let mut web = attached(2);
    let mut rig = Rig::new(vec![
        cluster().into(),
        network(1).into(),
        web.clone().into(),
    ]);
    let changes = rig.round();
    rig.write(changes);
    assert_eq!(rig.tasks()[0].status.state, TaskState::Pending);
    // A node appears and the service is scaled down at once.
    web = Service::clone(rig.store.view().service(web.id).unwrap());
    web.spec.mode = Mode::Replicated { replicas: 1 };
    rig.write(vec![Change::create(node(1)), Change::update(web)]);
    let changes = rig.round();
    assert_eq!(changes.len(), 2, "each object at most once: {changes:?}");
    rig.write(changes);
    for task in rig.tasks() {
        let wanted = task.desired == DesiredState::Running;
        assert_eq!(wanted, task.slot == 1);
        assert_eq!(task.node.is_some(), wanted, "{task:?}");
    }
}

#[test]
fn without_addresses_a_task_stays_new_and_says_why_until_there_are_some() {
    let mut small = network(1);
    small.subnet = "10.0.1.0/29".parse().unwrap();
    let mut rig = Rig::new(vec![
        cluster().into(),
        small.into(),
        node(1).into(),
        attached(6).into(),
    ]);
    let changes = rig.round();
    rig.write(changes);
    let new = |rig: &Rig| -> Vec<Task> {
        let tasks = rig.tasks().into_iter();
        tasks
            .filter(|task| task.status.state == TaskState::New)
            .collect()
    };
    assert_eq!(new(&rig).len(), 1);
    assert!(new(&rig)[0].status.message.contains("no free address left"));
    assert_eq!(rig.round(), [], "said once");
    let held = rig.tasks().into_iter().find(|task| task.node.is_some());
    let mut ended = held.unwrap();
    ended.status.state = TaskState::Shutdown;
    ended.desired = DesiredState::Shutdown;
    rig.write(vec![Change::update(ended)]);
    let changes = rig.round();
    rig.write(changes);
    let waiting = new(&rig).len();
    assert!(waiting <= 1, "the freed address was given");
    assert!(
        rig.tasks()
            .iter()
            .filter(|task| task.node.is_some())
            .count()
            >= 6
    );
}
