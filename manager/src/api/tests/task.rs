use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::fixture::TaskFixture;
use crate::fixture::node;
use crate::fixture::service;
use crate::fixture::task;
use crate::fixture::task_id;
use std::time::Duration;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::command::Change;
use weft_proto::object::Object;
use weft_proto::object::UpdateState;
use weft_proto::object::UpdateStatus;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

/// Service 1 with three tasks on nodes 1 and 2, one of them old; task 9 of a service that is gone.
fn some_tasks() -> House {
    let (svc, gone) = (service(1, 2), service(8, 1));
    let house = house(vec![
        svc.clone().into(),
        node(1).into(),
        node(2).into(),
        task(2, &svc).slot(2).on(&node(2)).into(),
        task(1, &svc).slot(1).on(&node(1)).into(),
        task(9, &gone).on(&node(1)).into(),
    ]);
    let newer = task(3, &svc).slot(1).on(&node(2)).at(3_000);
    house.fake.write(vec![Change::create(newer)]);
    house
}

async fn list(house: &House, service: &str, node: &str) -> Result<(Vec<String>, usize), Status> {
    let request = wire::ListTasksRequest {
        service: service.to_owned(),
        node: node.to_owned(),
        ..wire::ListTasksRequest::default()
    };
    let answer = house.control.list_tasks(Request::new(request)).await?;
    let answer = answer.into_inner();
    let ids = answer.tasks.into_iter().map(|task| task.id).collect();
    Ok((ids, answer.nodes.len()))
}

fn ids(numbers: &[u128]) -> Vec<String> {
    numbers.iter().map(|n| task_id(*n).to_string()).collect()
}

#[tokio::test]
async fn tasks_of_a_service_come_by_slot_the_newest_first() {
    let house = some_tasks();
    let tasks = list(&house, "svc1", "").await.unwrap();
    assert_eq!(tasks, (ids(&[3, 1, 2]), 2));
    let on_node = list(&house, "svc1", "n2").await.unwrap();
    assert_eq!(on_node, (ids(&[3, 2]), 1));
}

#[tokio::test]
async fn tasks_of_a_removed_service_are_shown_with_their_node_only() {
    let house = some_tasks();
    assert_eq!(list(&house, "", "").await.unwrap().0, ids(&[3, 1, 2]));
    assert_eq!(list(&house, "", "n1").await.unwrap().0, ids(&[1, 9]));
    assert_eq!(list(&house, "", "self").await.unwrap().0, ids(&[1, 9]));
}

#[tokio::test]
async fn tasks_of_nothing_known_are_refused() {
    let house = some_tasks();
    refused(list(&house, "svc8", "").await, Code::NotFound, &["svc1"]);
    refused(list(&house, "", "n3").await, Code::NotFound, &["n1, n2"]);
}

#[tokio::test]
async fn tasks_say_until_when_they_wait() {
    let mut svc = service(1, 3);
    let mut drained = node(2);
    drained.spec.availability = weft_proto::spec::Availability::Drain;
    let old = task(3, &svc).slot(3).on(&node(1)).state(TaskState::Running);
    svc.spec.task.env = vec!["NEW=1".to_owned()];
    svc.spec.update.delay = Duration::from_secs(60);
    svc.update = Some(UpdateStatus {
        state: UpdateState::Updating,
        started: Timestamp::from_millis(1),
        ended: None,
        message: String::new(),
    });
    let mut failed = task(1, &svc)
        .slot(1)
        .on(&node(1))
        .at(10)
        .state(TaskState::Failed);
    failed.status.at = Timestamp::from_millis(20_000);
    let moves = task(2, &svc)
        .slot(2)
        .on(&drained)
        .at(10)
        .state(TaskState::Running);
    let mut new = task(4, &svc)
        .slot(4)
        .on(&node(1))
        .at(10)
        .state(TaskState::Running);
    new.status.at = Timestamp::from_millis(30_000);
    let objects = [failed, moves, old, new].map(Object::from).to_vec();
    let nodes = vec![svc.into(), node(1).into(), drained.into()];
    let house = house([nodes, objects].concat());
    let request = wire::ListTasksRequest {
        service: "svc1".to_owned(),
        ..wire::ListTasksRequest::default()
    };
    let answer = house.control.list_tasks(Request::new(request)).await;
    let answer = answer.unwrap().into_inner();
    let told = |n: u128| {
        let id = task_id(n).to_string();
        let wait = answer.waits.iter().find(|wait| wait.task_id == id)?;
        let task = answer.tasks.iter().find(|task| task.id == id)?;
        let message = task.status.as_ref()?.message.clone();
        Some((message, wait.until_ms))
    };
    let (why, until) = told(1).unwrap();
    assert!(why.contains("starts again 5 s after"), "{why}");
    assert_eq!(until, 25_000);
    let (why, until) = told(2).unwrap();
    assert!(why.contains("its node is drained; serves until"), "{why}");
    assert!(until > 0);
    let turn = ("waits for its turn in the update".to_owned(), 90_000);
    assert_eq!(told(3), Some(turn));
    assert_eq!(told(4), None);
}
