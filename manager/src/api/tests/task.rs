use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::fixture::TaskFixture;
use crate::fixture::node;
use crate::fixture::service;
use crate::fixture::task;
use crate::fixture::task_id;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::command::Change;
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
