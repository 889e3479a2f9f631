//! What an agent is told next.

use crate::dispatcher::assignment::assignments_for;
use crate::dispatcher::assignment::common;
use crate::dispatcher::feed::Feed;
use crate::dispatcher::news::News;
use crate::dispatcher::trail::Step;
use crate::fixture::*;
use crate::store::Store;
use crate::store::View;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use weft_proto::CommandId;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Assignments;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::object::*;
use weft_proto::spec::NetworkRef;
use weft_proto::spec::Port;
use weft_proto::spec::Protocol;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// A state that changes, and what agents that follow it know.
struct World {
    store: Store,
    seen: View,
    steps: Vec<Arc<Step>>,
}

impl World {
    fn new(objects: Vec<Object>) -> World {
        let store = Store::default();
        write(&store, objects.into_iter().map(Change::create).collect());
        let seen = store.view();
        World {
            store,
            seen,
            steps: Vec::new(),
        }
    }

    /// One step over everything that was written since the last one.
    fn step(&mut self) {
        let new = self.store.view();
        let sets = self.store.changes_since(self.seen.revision()).unwrap();
        let keys = sets
            .iter()
            .flat_map(|set| set.changed.iter().copied())
            .collect();
        let news = Some(News::of(&self.seen, &new, &keys));
        let old = std::mem::replace(&mut self.seen, Arc::clone(&new));
        self.steps.push(Arc::new(Step { old, new, news }));
    }

    fn feed(&self, node: NodeId) -> (Feed, Assignments) {
        let common: Vec<Assignment> = common(&self.seen).collect();
        Feed::begin(node, self.seen.clone(), &common)
    }

    fn look(&self, feed: &mut Feed, progress: bool) -> Option<Assignments> {
        let after = |step: &&Arc<Step>| step.old.revision() >= feed.seen();
        let steps: Vec<_> = self.steps.iter().filter(after).cloned().collect();
        feed.look(&self.seen, Some(&steps), progress)
    }
}

fn write(store: &Store, changes: Vec<Change>) {
    let index = store.view().revision() + 1;
    let command = Command {
        id: CommandId::from_entropy(u128::from(index)),
        at: Timestamp::default(),
        changes,
        actor: None,
    };
    store.apply(index, &command).unwrap();
}

/// What an agent makes of what it is told.
fn apply(known: &mut BTreeMap<AssignmentKey, Assignment>, told: Assignments) {
    if told.snapshot {
        known.clear();
    }
    for key in told.removals {
        known.remove(&key);
    }
    known.extend(told.upserts.into_iter().map(|piece| (piece.key(), piece)));
}

fn base() -> Vec<Object> {
    vec![cluster().into(), node(1).into()]
}

#[test]
fn a_task_that_waits_for_a_node_is_told_to_nobody() {
    let mut world = World::new(base());
    let (mut feed, snapshot) = world.feed(node_id(1));
    assert!(snapshot.snapshot);
    let waits = task(7, &service(1, 1))
        .state(TaskState::Pending)
        .on(&node(1));
    write(&world.store, vec![Change::create(waits)]);
    world.step();
    assert_eq!(world.look(&mut feed, false), None);
    assert_eq!((feed.seen(), feed.told()), (2, 1));
}

#[test]
fn an_agent_hears_of_progress_even_when_nothing_is_new_for_it() {
    let mut world = World::new(base());
    let (mut feed, _) = world.feed(node_id(1));
    write(&world.store, vec![Change::create(service(1, 1))]);
    world.step();
    assert_eq!(world.look(&mut feed, false), None);
    let delta = world.look(&mut feed, true).unwrap();
    assert_eq!(delta.revision, 2);
    assert!(!delta.snapshot && delta.upserts.is_empty() && delta.removals.is_empty());
    assert_eq!(world.look(&mut feed, true), None, "it knows");
}

#[test]
fn when_steps_are_no_longer_kept_everything_is_compared() {
    let mut world = World::new(base());
    let (mut feed, _) = world.feed(node_id(1));
    write(&world.store, vec![Change::create(node(2))]);
    world.step();
    let delta = feed.look(&world.seen, None, false).unwrap();
    assert_eq!(delta.upserts.len(), 1);
    assert!(!delta.snapshot);
}

/// The data in what an agent was told.
fn secrets(told: &Assignments) -> Vec<String> {
    let records = told.upserts.iter().filter_map(|piece| match piece {
        Assignment::Material(record) => Some(&record.data),
        Assignment::Task(_)
        | Assignment::Network(_)
        | Assignment::Endpoint(_)
        | Assignment::Service(_)
        | Assignment::Published(_)
        | Assignment::Peer(_)
        | Assignment::Tunnel(_)
        | Assignment::Epochs(_) => None,
    });
    records
        .map(|data| String::from_utf8(data.bytes().to_vec()).unwrap())
        .collect()
}

#[test]
fn a_node_has_the_data_of_a_secret_only_while_a_task_on_it_uses_it() {
    let secret = secret(1, 2);
    let mut web = service(1, 2);
    web.spec.task.files = vec![file(&secret, 2)];
    let mut objects = base();
    objects.extend([
        Object::from(node(2)),
        secret.clone().into(),
        web.clone().into(),
    ]);
    let mut world = World::new(objects);
    let (mut one, snapshot) = world.feed(node_id(1));
    assert_eq!(
        secrets(&snapshot),
        [""; 0],
        "nothing of it before there is a task"
    );
    let (mut two, _) = world.feed(node_id(2));

    let assigned = task(7, &web).state(TaskState::Assigned).on(&node(1));
    write(&world.store, vec![Change::create(assigned)]);
    world.step();
    let told = world.look(&mut one, false).unwrap();
    assert_eq!(
        secrets(&told),
        ["pw1 v2"],
        "the version of its spec, and no other"
    );
    assert_eq!(
        world.look(&mut two, true).map(|told| secrets(&told)),
        Some(vec![])
    );
    assert_eq!(
        secrets(&world.feed(node_id(1)).1),
        ["pw1 v2"],
        "a new session too"
    );
    assert_eq!(secrets(&world.feed(node_id(2)).1), [""; 0]);

    // It goes on while the task is stopping, and ends with it.
    let set = |world: &World, change: fn(&mut Task)| {
        let mut task = Task::clone(world.store.view().task(task_id(7)).unwrap());
        change(&mut task);
        write(&world.store, vec![Change::update(task)]);
    };
    set(&world, |task| task.desired = DesiredState::Shutdown);
    world.step();
    assert_eq!(world.look(&mut one, false).unwrap().removals, []);
    set(&world, |task| task.status.state = TaskState::Shutdown);
    world.step();
    let told = world.look(&mut one, false).unwrap();
    assert_eq!(told.removals, [AssignmentKey::Material(secret.id, 2)]);
    assert_eq!(secrets(&world.feed(node_id(1)).1), [""; 0]);
}

#[derive(Clone, Debug)]
enum Event {
    Create(u8, u8, u8),
    Move(u8, TaskState),
    Leave(u8),
    Remove(u8),
    Node(u8, u8),
    Service(u8, u8),
    Keys(u8),
    Step,
    Look(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let states = vec![
        TaskState::Assigned,
        TaskState::Running,
        TaskState::Running,
        TaskState::Failed,
    ];
    prop_oneof![
        4 => any::<(u8, u8, u8)>().prop_map(|(a, b, c)| Event::Create(a, b, c)),
        6 => (any::<u8>(), prop::sample::select(states)).prop_map(|(n, to)| Event::Move(n, to)),
        1 => any::<u8>().prop_map(Event::Leave),
        2 => any::<u8>().prop_map(Event::Remove),
        2 => any::<(u8, u8)>().prop_map(|(n, what)| Event::Node(n, what)),
        2 => any::<(u8, u8)>().prop_map(|(n, what)| Event::Service(n, what)),
        2 => any::<u8>().prop_map(Event::Keys),
        4 => Just(Event::Step),
        3 => any::<u8>().prop_map(Event::Look),
    ]
}

fn reference(n: u8) -> NetworkRef {
    NetworkRef {
        id: network_id(u128::from(n)),
        aliases: vec![],
    }
}

fn change_of_service(view: &View, n: u8, what: u8) -> Option<Change> {
    let service = view.service(service_id(u128::from(n % 3 + 1)))?;
    let mut service = Service::clone(service);
    service.ports.clear();
    if what & 1 != 0 {
        service.ports.push(Port {
            protocol: Protocol::Tcp,
            target: 80,
            published: Some(8000 + u16::from(n % 3)),
        });
    }
    let networks = &mut service.spec.task.networks;
    networks.clear();
    networks.extend((1..=2).filter(|n| what & (n << 1) != 0).map(reference));
    Some(Change::update(service))
}

/// The changes of an event; none when there is nothing that it fits.
fn changes(view: &View, event: &Event, next: &mut u8) -> Vec<Change> {
    let a_task = |n: u8| {
        let tasks: Vec<_> = view.tasks().collect();
        let at = usize::from(n).checked_rem(tasks.len())?;
        Some(Task::clone(tasks[at]))
    };
    let change = match event {
        Event::Create(n, networks, on) if *next < 90 => {
            *next += 1;
            let services: Vec<_> = view.services().collect();
            let service = services[usize::from(*n) % services.len()];
            let mut task = task(u128::from(*next), service).slot(u32::from(*next));
            for network in 1..=2 {
                if networks & network != 0 {
                    let addr = IpAddr::V4(Ipv4Addr::new(10, 0, network, 100 + *next));
                    task.addresses.insert(network_id(u128::from(network)), addr);
                }
            }
            for version in 1..=2 {
                if networks & (version << 2) != 0 {
                    task.spec.files.push(file(&secret(1, 2), version.into()));
                }
            }
            task.ingress_addr = Some(Ipv4Addr::new(10, 255, 1, *next));
            let state = [TaskState::Pending, TaskState::Assigned][usize::from(on & 1)];
            task.node = Some(node_id(u128::from(on % 4 + 1)));
            Some(Change::create(task.state(state)))
        }
        Event::Move(n, to) => a_task(*n)
            .filter(|task| task.status.state < *to)
            .map(|mut task| {
                task.status.state = *to;
                Change::update(task)
            }),
        Event::Leave(n) => a_task(*n).filter(Task::is_wanted).map(|mut task| {
            task.desired = DesiredState::Shutdown;
            Change::update(task)
        }),
        Event::Remove(n) => a_task(*n).map(Change::remove),
        Event::Node(n, what) => {
            let number = u16::from(n % 4 + 1);
            match view
                .node(node_id(u128::from(number)))
                .map(|node| Node::clone(node))
            {
                None => Some(Change::create(node(number))),
                Some(node) if what % 8 == 0 => Some(Change::remove(node)),
                Some(mut node) => {
                    match what % 4 {
                        0 => node.status.state = NodeState::Down,
                        1 => node.status.state = NodeState::Ready,
                        2 => node.description.hostname = format!("h{what}"),
                        _ if what % 8 == 3 => {
                            let key = u16::from(*what) * 4 + number;
                            node.tunnel_key = (what % 16 == 3).then(|| tunnel_key(key));
                        }
                        _ => node.data_addr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, *what)),
                    }
                    Some(Change::update(node))
                }
            }
        }
        Event::Service(n, what) => change_of_service(view, *n, *what),
        Event::Keys(what) => Some(match view.key_ring() {
            _ if what % 4 == 0 => {
                let network = view.network(network_id(1)).unwrap();
                let mut network = Network::clone(network);
                network.spec.encrypted = !network.spec.encrypted;
                Change::update(network)
            }
            None => Change::create(key_ring(&[(1, KeyPhase::Active)])),
            Some(old) => {
                let number = u8::try_from(old.newest()).unwrap() + 1;
                let phases = [KeyPhase::Retired, KeyPhase::Active, KeyPhase::Distributing];
                let from = usize::from(what % 2);
                let numbered = (number..).zip(phases.into_iter().skip(from));
                let mut ring = key_ring(&numbered.collect::<Vec<_>>());
                ring.meta = old.meta;
                Change::update(ring)
            }
        }),
        Event::Create(..) | Event::Step | Event::Look(_) => None,
    };
    change.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn agents_that_follow_the_steps_know_what_is_theirs(
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut objects = base();
        objects.extend((2..=4).map(|n| {
            let mut node = node(n);
            node.tunnel_key = Some(tunnel_key(n));
            Object::from(node)
        }));
        objects.extend((1..=2).map(|n| {
            let mut network = network(n);
            network.spec.encrypted = true;
            Object::from(network)
        }));
        objects.push(secret(1, 2).into());
        objects.extend((1..=3).map(|n| Object::from(service(n, 1))));
        let mut world = World::new(objects);
        let mut agents: Vec<_> = (1..=4_u128)
            .map(|n| {
                let (feed, snapshot) = world.feed(node_id(n));
                let mut known = BTreeMap::new();
                apply(&mut known, snapshot);
                (node_id(n), feed, known)
            })
            .collect();
        let mut next = 0;
        let all = events.into_iter().chain([Event::Step]).chain((0..4).map(Event::Look));
        for event in all {
            match event {
                Event::Step => world.step(),
                Event::Look(n) => {
                    let (node, feed, known) = &mut agents[usize::from(n) % 4];
                    if let Some(told) = world.look(feed, false) {
                        prop_assert_eq!(told.revision, world.seen.revision());
                        apply(known, told);
                    }
                    prop_assert_eq!(&*known, &assignments_for(&world.seen, *node));
                }
                Event::Create(..)
                | Event::Move(..)
                | Event::Leave(_)
                | Event::Remove(_)
                | Event::Node(..)
                | Event::Service(..)
                | Event::Keys(_) => {
                    let changes = changes(&world.store.view(), &event, &mut next);
                    if !changes.is_empty() {
                        write(&world.store, changes);
                    }
                }
            }
        }
    }
}
