use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::api::tests::spec;
use crate::fixture::TaskFixture;
use crate::fixture::network;
use crate::fixture::node;
use crate::fixture::service;
use crate::fixture::task;
use crate::propose::ProposeError;
use tonic::Code;
use tonic::Request;
use weft_proto::command::Change;
use weft_proto::object::Service;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

fn two_networks() -> House {
    house(vec![network(1).into(), network(2).into()])
}

fn vips(service: &wire::Service) -> Vec<String> {
    service.vips.iter().map(|vip| vip.addr.clone()).collect()
}

fn published(service: &wire::Service) -> Vec<u32> {
    service.ports.iter().map(|port| port.published).collect()
}

#[tokio::test]
async fn a_service_gets_an_address_on_each_network_and_its_ports() {
    let house = two_networks();
    let by_id = network(2).id.to_string();
    let asked = spec(1, &["net1", &by_id], &[(8080, 80), (0, 81)]);
    let made = house.create(asked).await.unwrap();
    assert_eq!(vips(&made), ["10.0.1.2", "10.0.2.2"]);
    assert_eq!(published(&made), [8080, 30000]);
    assert!(made.meta.unwrap().version > 0, "as it is stored");
    let stored = made.spec.unwrap().task.unwrap().networks;
    assert_eq!(stored[0].network_id, network(1).id.to_string());
}

#[tokio::test]
async fn a_service_needs_neither_network_nor_virtual_address() {
    let house = two_networks();
    let plain = house.create(spec(1, &[], &[])).await.unwrap();
    assert!(plain.vips.is_empty());
    let mut dnsrr = spec(2, &["net1"], &[]);
    dnsrr.endpoint_mode = wire::EndpointMode::Dnsrr.into();
    assert!(house.create(dnsrr).await.unwrap().vips.is_empty());
}

#[tokio::test]
async fn a_service_that_cannot_be_is_refused_before_the_log_sees_it() {
    let house = house(vec![network(1).into()]);
    house.create(spec(1, &[], &[(8080, 80)])).await.unwrap();
    let before = house.fake.proposals();
    let create = |spec| house.create(spec);
    let taken = create(spec(1, &[], &[])).await;
    refused(taken, Code::AlreadyExists, &["service svc1"]);
    refused(
        create(spec(2, &["net9"], &[])).await,
        Code::InvalidArgument,
        &["networks[0]", "no network \"net9\"", "net1"],
    );
    let id = network(1).id.to_string();
    let twice = create(spec(2, &["net1", &id], &[])).await;
    refused(twice, Code::InvalidArgument, &["given twice"]);
    refused(
        create(spec(2, &[], &[(8080, 81)])).await,
        Code::AlreadyExists,
        &["port 8080/tcp", "service svc1"],
    );
    let own = create(spec(2, &[], &[(2377, 80)])).await;
    refused(
        own,
        Code::InvalidArgument,
        &["2377/tcp", "the cluster itself"],
    );
    let twice = create(spec(2, &[], &[(9000, 80), (9000, 81)])).await;
    refused(twice, Code::InvalidArgument, &["published twice"]);
    let mut empty = spec(2, &[], &[]);
    empty.task.as_mut().unwrap().command.clear();
    refused(create(empty).await, Code::InvalidArgument, &["command"]);
    let mut many = spec(2, &[], &[]);
    many.replicated.as_mut().unwrap().replicas = u32::MAX;
    refused(create(many).await, Code::InvalidArgument, &["too many"]);
    let none = wire::CreateServiceRequest::default();
    let none = house.control.create_service(Request::new(none)).await;
    refused(none, Code::InvalidArgument, &["service spec"]);
    assert_eq!(house.fake.proposals(), before);
}

#[tokio::test]
async fn a_full_network_is_told_to_the_user() {
    let mut small = network(1);
    small.subnet = "10.0.1.0/29".parse().unwrap();
    let house = house(vec![small.into()]);
    for n in 1..=5 {
        house.create(spec(n, &["net1"], &[])).await.unwrap();
    }
    let full = house.create(spec(6, &["net1"], &[])).await;
    refused(full, Code::ResourceExhausted, &["net1", "no free address"]);
}

#[tokio::test]
async fn a_network_that_goes_at_the_last_moment_is_noticed() {
    let house = two_networks();
    let net = house.fake.view().network(network(1).id).unwrap().clone();
    house.fake.rival(vec![Change::remove((*net).clone())]);
    let late = house.create(spec(1, &["net1"], &[])).await;
    refused(late, Code::InvalidArgument, &["no network \"net1\""]);
    assert_eq!(house.fake.view().services().count(), 0);
}

#[tokio::test]
async fn two_services_that_choose_the_same_numbers_end_with_two() {
    let house = two_networks();
    let mut rival = service(9, 1);
    rival
        .vips
        .insert(network(1).id, "10.0.1.2".parse().unwrap());
    house.fake.rival(vec![Change::create(rival)]);
    let made = house.create(spec(1, &["net1"], &[])).await.unwrap();
    assert_eq!(vips(&made), ["10.0.1.3"]);
}

#[tokio::test]
async fn an_update_keeps_addresses_and_ports_that_are_still_asked_for() {
    let house = two_networks();
    house.create(spec(9, &["net1"], &[(0, 70)])).await.unwrap();
    let first = spec(1, &["net1"], &[(0, 80), (9000, 90)]);
    let made = house.create(first).await.unwrap();
    assert_eq!(
        (vips(&made), published(&made)),
        (vec!["10.0.1.3".into()], vec![9000, 30001])
    );
    let next = spec(1, &["net2", "net1"], &[(0, 80), (0, 81)]);
    let updated = house.update("svc1", 0, next).await.unwrap();
    assert_eq!(vips(&updated), ["10.0.1.3", "10.0.2.2"]);
    assert_eq!(published(&updated), [30001, 30002]);
    assert_eq!(updated.id, made.id);
    let moved = house.update("svc1", 0, spec(1, &["net2"], &[])).await;
    assert_eq!(vips(&moved.unwrap()), ["10.0.2.2"]);
}

#[tokio::test]
async fn an_update_of_what_was_not_looked_at_is_refused() {
    let house = two_networks();
    let made = house.create(spec(1, &[], &[])).await.unwrap();
    let version = made.meta.unwrap().version;
    let mut scaled = spec(1, &[], &[]);
    scaled.replicated.as_mut().unwrap().replicas = 5;
    let updated = house.update("svc1", version, scaled.clone()).await.unwrap();
    assert_eq!(
        updated.spec.as_ref().unwrap().replicated.unwrap().replicas,
        5
    );
    let old = house.update("svc1", version, spec(1, &[], &[])).await;
    refused(old, Code::Aborted, &["svc1", "weft service inspect svc1"]);
    let unchanged = house.update("svc1", 0, scaled).await.unwrap();
    assert_eq!(unchanged.meta, updated.meta, "nothing to write");
    let renamed = house.update("svc1", 0, spec(2, &[], &[])).await;
    refused(renamed, Code::InvalidArgument, &["cannot be renamed"]);
    let unknown = house.update("svc7", 0, spec(7, &[], &[])).await;
    refused(unknown, Code::NotFound, &["svc1"]);
    let reserved = house.update("svc1", 0, spec(1, &[], &[(2377, 1)])).await;
    refused(reserved, Code::InvalidArgument, &["2377"]);
}

#[tokio::test]
async fn an_update_without_a_version_follows_a_concurrent_one() {
    let house = two_networks();
    let made = house.create(spec(1, &[], &[])).await.unwrap();
    let id = made.id.parse().unwrap();
    let mut other = Service::clone(house.fake.view().service(id).unwrap());
    other.spec.labels.insert("a".to_owned(), "b".to_owned());
    house.fake.rival(vec![Change::update(other)]);
    let mut scaled = spec(1, &[], &[]);
    scaled.replicated.as_mut().unwrap().replicas = 7;
    let updated = house.update("svc1", 0, scaled).await.unwrap();
    assert_eq!(updated.spec.unwrap().replicated.unwrap().replicas, 7);
    assert_eq!(house.fake.proposals(), 3);
}

#[tokio::test]
async fn a_removed_service_is_gone_and_its_name_free() {
    let house = two_networks();
    let made = house.create(spec(1, &[], &[])).await.unwrap();
    let remove = || {
        Request::new(wire::RemoveServiceRequest {
            request_id: String::new(),
            target: "svc1".to_owned(),
        })
    };
    let gone = house.control.remove_service(remove()).await.unwrap();
    assert_eq!(gone.into_inner().service_id, made.id);
    let again = house.control.remove_service(remove()).await;
    refused(again, Code::NotFound, &["no service \"svc1\""]);
    assert!(house.create(spec(1, &[], &[])).await.is_ok());
}

#[tokio::test]
async fn a_list_counts_tasks_that_run_and_are_wanted() {
    let (svc, n1) = (service(1, 3), node(1));
    let running = |n| task(n, &svc).on(&n1).state(TaskState::Running);
    let house = house(vec![
        running(1).into(),
        running(2).desired(DesiredState::Shutdown).into(),
        task(3, &svc).into(),
        task(4, &svc).on(&n1).state(TaskState::Failed).into(),
        service(2, 1).into(),
        svc.into(),
    ]);
    let list = |target: &str| {
        let target = target.to_owned();
        house
            .control
            .list_services(Request::new(wire::ListServicesRequest {
                target,
                ..wire::ListServicesRequest::default()
            }))
    };
    let all = list("").await.unwrap().into_inner().services;
    let shown: Vec<_> = all
        .iter()
        .map(|l| {
            (
                l.service
                    .as_ref()
                    .unwrap()
                    .spec
                    .as_ref()
                    .unwrap()
                    .name
                    .as_str(),
                l.running,
            )
        })
        .collect();
    assert_eq!(shown, [("svc1", 1), ("svc2", 0)]);
    let one = list("svc2").await.unwrap().into_inner().services;
    assert_eq!(one.len(), 1);
    refused(
        list("svc3").await,
        Code::NotFound,
        &["did you mean svc1, svc2?"],
    );
}

#[tokio::test]
async fn without_a_leader_the_caller_is_told_so() {
    let house = two_networks();
    house.fake.fail(ProposeError::NoLeader("test".to_owned()));
    let lost = house.create(spec(1, &[], &[])).await;
    refused(lost, Code::Unavailable, &["no leader answers"]);
    assert!(house.create(spec(1, &[], &[])).await.is_ok(), "asked again");
}
