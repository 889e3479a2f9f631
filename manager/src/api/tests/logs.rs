use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::fixture::TaskFixture;
use crate::fixture::node;
use crate::fixture::service;
use crate::fixture::task;
use crate::fixture::task_id;
use crate::logs::LogQuery;
use futures::StreamExt;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::wire;
use weft_proto::wire::LogLine;
use weft_proto::wire::ServiceLogsRequest;
use weft_proto::wire::control_server::Control;

fn some_tasks() -> House {
    let svc = service(1, 3);
    house(vec![
        svc.clone().into(),
        service(7, 1).into(),
        node(1).into(),
        task(1, &svc).slot(1).on(&node(1)).into(),
        task(2, &svc).slot(2).on(&node(1)).into(),
        task(3, &svc).slot(3).into(),
    ])
}

async fn read(house: &House, request: wire::ServiceLogsRequest) -> Result<Vec<LogLine>, Status> {
    let stream = house.control.service_logs(Request::new(request)).await?;
    let lines: Vec<_> = stream.into_inner().collect().await;
    lines.into_iter().collect()
}

fn of(target: &str) -> ServiceLogsRequest {
    ServiceLogsRequest {
        target: target.to_owned(),
        tail: 10,
        ..ServiceLogsRequest::default()
    }
}

#[tokio::test]
async fn the_logs_of_a_service_are_those_of_its_tasks_that_had_a_node() {
    let house = some_tasks();
    let request = ServiceLogsRequest {
        follow: true,
        since_ms: 5,
        ..of("svc1")
    };
    let stream = house.control.service_logs(Request::new(request)).await;
    let lines: Vec<_> = stream.unwrap().into_inner().take(2).collect().await;
    assert!(lines.iter().all(Result::is_ok), "{lines:?}");
    let asked = house.logs.0.lock().pop().unwrap();
    let expected = LogQuery {
        tasks: vec![task_id(1), task_id(2)],
        follow: true,
        tail: 10,
        all: false,
        since_ms: 5,
    };
    assert_eq!(asked, expected);
    let all = ServiceLogsRequest {
        all: true,
        ..of("svc1")
    };
    read(&house, all).await.unwrap();
    assert!(house.logs.0.lock().pop().unwrap().all);
}

#[tokio::test]
async fn one_task_is_named_by_slot_or_identifier() {
    let house = some_tasks();
    for target in ["svc1.2", task_id(2).as_str()] {
        let lines = read(&house, of(target)).await.unwrap();
        assert_eq!(lines[0].task_id, task_id(2).to_string());
        assert_eq!(lines.len(), 1);
    }
}

#[tokio::test]
async fn a_service_without_tasks_says_so_in_its_logs() {
    let house = some_tasks();
    let lines = read(&house, of("svc7")).await.unwrap();
    assert!(lines[0].note.contains("no task"), "{lines:?}");
    assert!(house.logs.0.lock().is_empty());
}

#[tokio::test]
async fn logs_of_nothing_known_are_refused() {
    let house = some_tasks();
    let unknown = read(&house, of("svc9")).await;
    refused(unknown, Code::NotFound, &["no service \"svc9\"", "svc1"]);
    refused(
        read(&house, of("")).await,
        Code::InvalidArgument,
        &["service"],
    );
}
