//! The scheduler against a naive one that looks at every node for every task.

use crate::fixture::*;
use crate::scheduler::plan;
use crate::store::State;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

const GIB: u64 = 1 << 30;

fn some_node() -> impl Strategy<Value = Node> {
    (0..3_u8, 0..3_u8, 1..5_u64, 0..8_u8).prop_map(|(zone, rack, cpus, mood)| {
        let mut some = node(1);
        if zone > 0 {
            some.spec.labels.insert("zone".to_owned(), zone.to_string());
        }
        some.spec.labels.insert("rack".to_owned(), rack.to_string());
        some.description.resources = Resources {
            nano_cpus: cpus * 1_000_000_000,
            memory_bytes: cpus * GIB,
        };
        some.description.generic.insert("gpu".to_owned(), cpus % 3);
        match mood {
            0 => some.status.state = NodeState::Down,
            1 => some.spec.availability = Availability::Drain,
            _ => {}
        }
        some
    })
}

fn some_service() -> impl Strategy<Value = Service> {
    (
        1..12_u32,
        0..3_u64,
        0..3_u64,
        0..3_u32,
        0..4_u8,
        any::<bool>(),
    )
        .prop_map(|(replicas, cpu, gpu, most, prefer, constrained)| {
            let mut some = service(1, replicas);
            let spec = &mut *some.spec.task;
            spec.reservations.nano_cpus = cpu * 500_000_000;
            spec.reservations.memory_bytes = cpu * GIB / 4;
            spec.reserved_generic = match gpu {
                0 => Generic::new(),
                gpu => Generic::from([("gpu".to_owned(), gpu)]),
            };
            spec.max_per_node = NonZeroU32::new(most);
            let keys = ["node.labels.zone", "node.labels.rack"];
            let keys = keys.iter().take(usize::from(prefer.min(2)));
            spec.preferences = keys
                .map(|key| SpreadPreference {
                    key: (*key).to_owned(),
                })
                .collect();
            if constrained {
                spec.constraints
                    .push("node.labels.rack!=1".parse().unwrap());
            }
            some
        })
}

fn world() -> impl Strategy<Value = State> {
    let nodes = prop::collection::vec(some_node(), 0..8);
    let services = prop::collection::vec(some_service(), 1..5);
    (nodes, services).prop_map(|(nodes, services)| {
        let mut objects: Vec<Object> = vec![cluster().into()];
        for (n, mut some) in nodes.into_iter().enumerate() {
            let fresh = node(u16::try_from(n + 1).unwrap());
            (some.id, some.number) = (fresh.id, fresh.number);
            objects.push(some.into());
        }
        for (n, mut some) in services.into_iter().enumerate() {
            let fresh = service(u8::try_from(n + 1).unwrap(), 0);
            (some.id, some.spec.name) = (fresh.id, fresh.spec.name);
            let Mode::Replicated { replicas } = some.spec.mode else {
                panic!()
            };
            for slot in 1..=replicas {
                let id = u128::try_from(n * 100).unwrap() + u128::from(slot);
                objects.push(task(id, &some).slot(slot).state(TaskState::Pending).into());
            }
            objects.push(some.into());
        }
        state(objects)
    })
}

/// What a node has given away so far.
#[derive(Default)]
struct Given {
    cpu: u64,
    memory: u64,
    gpu: u64,
    tasks: Vec<weft_proto::ServiceId>,
}

fn naive(state: &State) -> BTreeMap<weft_proto::TaskId, Option<NodeId>> {
    let mut given: BTreeMap<NodeId, Given> = BTreeMap::new();
    let mut tasks: Vec<&Task> = state.tasks().map(AsRef::as_ref).collect();
    tasks.sort_by_key(|task| (task.service, task.slot));
    let mut outcome = BTreeMap::new();
    for task in tasks {
        let spec = &task.spec;
        let may = |node: &Node| {
            let rack = node.spec.labels.get("rack").map(String::as_str);
            node.status.state == NodeState::Ready
                && node.spec.availability == Availability::Active
                && (spec.constraints.is_empty() || rack != Some("1"))
        };
        let fits = |node: &Node, given: &Given| {
            let all = node.description.resources;
            let gpu = spec.reserved_generic.get("gpu").copied().unwrap_or(0);
            let here = given.tasks.iter().filter(|of| **of == task.service).count();
            given.cpu + spec.reservations.nano_cpus <= all.nano_cpus
                && given.memory + spec.reservations.memory_bytes <= all.memory_bytes
                && given.gpu + gpu <= node.description.generic["gpu"]
                && spec
                    .max_per_node
                    .is_none_or(|most| here < most.get() as usize)
        };
        let mut nodes: Vec<&Node> = state
            .nodes()
            .map(AsRef::as_ref)
            .filter(|n| may(n))
            .collect();
        for preference in &spec.preferences {
            // The group with the fewest tasks of the service that has room for another.
            let label = preference.key.strip_prefix("node.labels.").unwrap();
            let value = |node: &Node| node.spec.labels.get(label).cloned().unwrap_or_default();
            let mut groups: BTreeMap<String, Vec<&Node>> = BTreeMap::new();
            for node in nodes {
                groups.entry(value(node)).or_default().push(node);
            }
            let count = |nodes: &Vec<&Node>| -> usize {
                let of = |node: &&Node| given.get(&node.id).map_or(&[][..], |g| &g.tasks);
                nodes
                    .iter()
                    .flat_map(of)
                    .filter(|of| **of == task.service)
                    .count()
            };
            let none = Given::default();
            let room = |nodes: &Vec<&Node>| {
                nodes
                    .iter()
                    .any(|n| fits(n, given.get(&n.id).unwrap_or(&none)))
            };
            let best = groups.into_values().filter(room).min_by_key(count);
            nodes = best.unwrap_or_default();
        }
        let none = Given::default();
        let of = |node: &Node| given.get(&node.id).unwrap_or(&none);
        let best = nodes
            .into_iter()
            .filter(|n| fits(n, of(n)))
            .min_by_key(|node| {
                let here = of(node)
                    .tasks
                    .iter()
                    .filter(|of| **of == task.service)
                    .count();
                let all = node.description.resources;
                let cpu = of(node).cpu * 1000 / all.nano_cpus;
                let memory = of(node).memory * 1000 / all.memory_bytes;
                (here, cpu.max(memory), of(node).tasks.len(), node.number)
            });
        outcome.insert(task.id, best.map(|node| node.id));
        if let Some(node) = best {
            let given = given.entry(node.id).or_default();
            given.cpu += spec.reservations.nano_cpus;
            given.memory += spec.reservations.memory_bytes;
            given.gpu += spec.reserved_generic.get("gpu").copied().unwrap_or(0);
            given.tasks.push(task.service);
        }
    }
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn places_tasks_as_a_naive_scheduler_would(state in world()) {
        let expected = naive(&state);
        let changes = plan(&state, Timestamp::from_millis(10));
        prop_assert_eq!(changes.len(), expected.len());
        for change in changes {
            let Change::Put { object: Object::Task(task), .. } = change else { panic!() };
            prop_assert_eq!(task.node, expected[&task.id], "{}", task.name());
            if task.node.is_none() {
                prop_assert!(task.status.message.starts_with("no suitable node: "));
            }
        }
    }
}
