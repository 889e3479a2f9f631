use crate::fixture::*;
use crate::scheduler::plan;
use std::collections::BTreeMap;
use weft_proto::command::Change;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

fn placed(objects: Vec<Object>) -> Vec<Task> {
    let state = state([vec![cluster().into()], objects].concat());
    let changes = plan(&state, Timestamp::from_millis(10));
    changes
        .into_iter()
        .map(|change| match change {
            Change::Put {
                object: Object::Task(task),
                ..
            } => task,
            other @ (Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. }) => {
                panic!("{other:?}")
            }
        })
        .collect()
}

fn pending(service: &Service, count: u32) -> Vec<Object> {
    (1..=count)
        .map(|slot| {
            task(u128::from(slot) + 100, service)
                .slot(slot)
                .state(TaskState::Pending)
                .into()
        })
        .collect()
}

#[test]
fn replicas_spread_over_nodes() {
    let web = service(1, 5);
    let nodes: Vec<Object> = vec![node(1).into(), node(2).into(), node(3).into()];
    let tasks = placed([nodes, vec![web.clone().into()], pending(&web, 5)].concat());
    let mut per_node: BTreeMap<_, usize> = BTreeMap::new();
    for task in &tasks {
        assert_eq!(task.status.state, TaskState::Assigned);
        *per_node.entry(task.node.unwrap()).or_default() += 1;
    }
    assert_eq!(per_node.into_values().collect::<Vec<_>>(), [2, 2, 1]);
}

#[test]
fn each_task_on_a_node_has_an_outside_address_of_its_own_in_the_nodes_slice() {
    let web = service(1, 2);
    let tasks = placed([vec![node(7).into(), web.clone().into()], pending(&web, 2)].concat());
    let addrs: Vec<String> = tasks
        .iter()
        .map(|t| t.ingress_addr.unwrap().to_string())
        .collect();
    assert_eq!(addrs, ["10.255.7.10", "10.255.7.11"]);
}

#[test]
fn a_task_that_fits_nowhere_says_why() {
    let mut web = service(1, 1);
    web.spec.task.constraints = vec!["node.labels.disk==ssd".parse().unwrap()];
    let (mut down, mut drained) = (node(1), node(2));
    down.status.state = NodeState::Down;
    drained.spec.availability = Availability::Drain;
    let objects = vec![
        down.into(),
        drained.into(),
        node(3).into(),
        web.clone().into(),
    ];
    let tasks = placed([objects, pending(&web, 1)].concat());
    assert_eq!(
        tasks[0].status.message,
        "no suitable node: 1 down, 1 drained, 1 without label disk=ssd"
    );
    assert_eq!(tasks[0].status.state, TaskState::Pending);
}

#[test]
fn reservations_are_counted_also_within_one_plan() {
    let mut big = service(1, 2);
    big.spec.task.reservations = Resources {
        nano_cpus: 3_000_000_000,
        memory_bytes: 0,
    };
    let tasks = placed([vec![node(1).into(), big.clone().into()], pending(&big, 2)].concat());
    assert_eq!(tasks[0].node, Some(node_id(1)));
    assert_eq!(
        tasks[1].status.message,
        "no suitable node: 1 lacks 3 CPU (most free: 1 on n1)"
    );
}

#[test]
fn constraints_compare_labels_roles_and_names() {
    let mut ssd = node(2);
    ssd.spec.labels.insert("disk".to_owned(), "SSD".to_owned());
    for (constraint, expected) in [
        ("node.labels.disk==ssd", 2),
        ("node.labels.disk!=ssd", 1),
        ("node.hostname==n1", 1),
        ("node.hostname!=n1", 2),
    ] {
        let mut web = service(1, 1);
        web.spec.task.constraints = vec![constraint.parse().unwrap()];
        let objects = vec![node(1).into(), ssd.clone().into(), web.clone().into()];
        let tasks = placed([objects, pending(&web, 1)].concat());
        assert_eq!(tasks[0].node, Some(node_id(expected)), "{constraint}");
    }
}
