use crate::api::tests::house;
use crate::api::tests::refused;
use crate::api::tests::spec;
use crate::fixture::TaskFixture;
use crate::fixture::network;
use crate::fixture::node;
use crate::fixture::service;
use crate::fixture::task;
use tonic::Code;
use tonic::Request;
use weft_proto::command::Change;
use weft_proto::spec::NetworkRef;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

fn remove(target: &str) -> Request<wire::RemoveNetworkRequest> {
    Request::new(wire::RemoveNetworkRequest {
        request_id: String::new(),
        target: target.to_owned(),
    })
}

#[tokio::test]
async fn a_network_gets_a_subnet_and_an_identifier_of_its_own() {
    let house = house(vec![node(1).into()]);
    let one = house.create_network("front", "").await.unwrap();
    let two = house.create_network("back", "").await.unwrap();
    assert_eq!((one.vni, two.vni), (4097, 4098));
    assert_eq!(one.subnet, "10.0.1.0/24");
    assert_eq!(two.subnet, "10.0.2.0/24");
    assert!(one.meta.unwrap().version > 0, "as it is stored");
    let listed = house
        .control
        .list_networks(Request::new(wire::ListNetworksRequest::default()))
        .await
        .unwrap()
        .into_inner();
    let names: Vec<_> = listed
        .networks
        .iter()
        .map(|n| n.spec.as_ref().unwrap().name.as_str())
        .collect();
    assert_eq!(names, ["back", "front"]);
}

#[tokio::test]
async fn two_managers_that_choose_the_same_subnet_end_with_two_subnets() {
    let house = house(Vec::new());
    // network(1) has the first free subnet and the first free identifier.
    house.fake.rival(vec![Change::create(network(1))]);
    let made = house.create_network("front", "").await.unwrap();
    assert_eq!((made.vni, made.subnet.as_str()), (4098, "10.0.2.0/24"));
    assert_eq!(house.fake.proposals(), 2);
}

#[tokio::test]
async fn a_network_that_cannot_be_is_refused_before_the_log_sees_it() {
    let house = house(vec![network(1).into(), node(1).into()]);
    let create = |name: &'static str, subnet: &'static str| house.create_network(name, subnet);
    let taken = create("net1", "").await;
    refused(
        taken,
        Code::AlreadyExists,
        &["network net1", "another name"],
    );
    refused(
        create("a", "10.0.0.0/16").await,
        Code::InvalidArgument,
        &[
            "10.0.0.0/16 overlaps 10.0.1.0/24 of network net1",
            "--subnet",
        ],
    );
    let near = create("a", "192.0.2.0/24").await;
    refused(near, Code::InvalidArgument, &["192.0.2.1", "node n1"]);
    let ingress = create("a", "10.255.3.0/24").await;
    refused(ingress, Code::InvalidArgument, &["ingress pool"]);
    for (name, subnet) in [
        ("Not_A_Label", ""),
        ("a", "10.0.0.0/33"),
        ("a", "10.0.0.0/31"),
    ] {
        refused(create(name, subnet).await, Code::InvalidArgument, &[]);
    }
    let none = wire::CreateNetworkRequest::default();
    let none = house.control.create_network(Request::new(none)).await;
    refused(none, Code::InvalidArgument, &["network spec"]);
    assert_eq!(house.fake.proposals(), 0);
}

#[tokio::test]
async fn a_network_in_use_stays_and_the_refusal_names_the_user() {
    let house = house(vec![network(1).into()]);
    house.create(spec(1, &["net1"], &[])).await.unwrap();
    let used = house.control.remove_network(remove("net1")).await;
    refused(used, Code::FailedPrecondition, &["net1", "service svc1"]);

    let request = wire::RemoveServiceRequest {
        request_id: String::new(),
        target: "svc1".to_owned(),
    };
    let removed = house.control.remove_service(Request::new(request)).await;
    assert!(removed.is_ok());
    let mut stopping = service(1, 1);
    stopping.spec.task.networks = vec![NetworkRef {
        id: network(1).id,
        aliases: Vec::new(),
    }];
    let stopping = task(1, &stopping).state(TaskState::Running);
    house.fake.write(vec![Change::create(stopping)]);
    let used = house.control.remove_network(remove("net1")).await;
    refused(
        used,
        Code::FailedPrecondition,
        &["task svc1.1", "when it has ended"],
    );
}

#[tokio::test]
async fn an_unused_network_is_removed_by_the_beginning_of_its_identifier() {
    let house = house(vec![network(1).into(), network(2).into()]);
    let id = network(1).id.to_string();
    let gone = house.control.remove_network(remove(&id)).await.unwrap();
    assert_eq!(gone.into_inner().network_id, id);
    let again = house.control.remove_network(remove("net1")).await;
    refused(again, Code::NotFound, &["\"net1\"", "net2"]);
    let ambiguous = house.control.remove_network(remove("0000")).await;
    assert!(ambiguous.is_ok(), "only one begins with it");
}

#[tokio::test]
async fn a_network_that_gets_a_user_at_the_last_moment_stays() {
    let house = house(vec![network(1).into()]);
    let mut user = service(1, 1);
    user.spec.task.networks = vec![NetworkRef {
        id: network(1).id,
        aliases: Vec::new(),
    }];
    house.fake.rival(vec![Change::create(user)]);
    let used = house.control.remove_network(remove("net1")).await;
    refused(used, Code::FailedPrecondition, &["service svc1"]);
    assert!(house.fake.view().network(network(1).id).is_some());
}
