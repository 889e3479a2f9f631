use super::*;
use weft_proto::command::Change;

fn create_service(n: u8, id: &str) -> Request<wire::CreateServiceRequest> {
    Request::new(wire::CreateServiceRequest {
        spec: Some(spec(n, &[], &[])),
        request_id: id.to_owned(),
    })
}

fn create_network(id: &str) -> Request<wire::CreateNetworkRequest> {
    Request::new(wire::CreateNetworkRequest {
        spec: Some(wire::NetworkSpec {
            name: "net".to_owned(),
            ..wire::NetworkSpec::default()
        }),
        request_id: id.to_owned(),
    })
}

/// Another manager over the same log, which does not hear of any change any more.
fn sleepy(house: &House) -> ControlService {
    house.fake.fall_behind();
    ControlService::new(
        house.fake.clone(),
        Arc::new(|| 0),
        house.clock.clone(),
        house.logs.clone(),
        Arc::new(FakeMembers::default()),
        Replica {
            store: house.fake.store(),
            stop: CancellationToken::new(),
        },
    )
}

#[tokio::test]
async fn a_creation_that_is_sent_again_answers_with_the_same_object() {
    let house = house(Vec::new());
    let first = house.control.create_service(create_service(1, "r1")).await;
    let first = first.unwrap().into_inner().service.unwrap();
    let again = house.control.create_service(create_service(1, "r1")).await;
    assert_eq!(again.unwrap().into_inner().service.unwrap(), first);
    assert_eq!(house.fake.view().services().count(), 1);
    let other = house.control.create_service(create_service(1, "r2")).await;
    refused(other, Code::AlreadyExists, &["svc1"]);

    let first = house.control.create_network(create_network("r1")).await;
    let first = first.unwrap().into_inner().network.unwrap();
    let again = house.control.create_network(create_network("r1")).await;
    assert_eq!(again.unwrap().into_inner().network.unwrap(), first);
}

#[tokio::test]
async fn managers_that_get_the_same_creation_at_the_same_time_make_one_object() {
    let house = house(Vec::new());
    // Decides on a state without the service, whoever was first.
    let other = sleepy(&house);
    let first = house.control.create_service(create_service(1, "r1")).await;
    let second = other.create_service(create_service(1, "r1")).await;
    let id = |answer: Result<tonic::Response<wire::CreateServiceResponse>, Status>| {
        answer.unwrap().into_inner().service.unwrap().id
    };
    assert_eq!(id(first), id(second));
    assert_eq!(house.fake.view().services().count(), 1);
}

#[tokio::test]
async fn an_object_that_was_removed_since_is_not_made_again() {
    let house = house(Vec::new());
    let made = house.control.create_service(create_service(1, "r1")).await;
    let id = made.unwrap().into_inner().service.unwrap().id;
    let view = house.fake.view();
    let service = view.service(id.parse().unwrap()).unwrap().as_ref().clone();
    house.fake.write(vec![Change::remove(service)]);
    let again = house.control.create_service(create_service(1, "r1")).await;
    refused(again, Code::NotFound, &["removed since"]);
    assert_eq!(house.fake.view().services().count(), 0);
}

#[tokio::test]
async fn a_creation_is_recognised_by_its_object_when_its_command_is_long_forgotten() {
    let house = house(Vec::new());
    let first = house.control.create_network(create_network("r1")).await;
    let first = first.unwrap().into_inner().network.unwrap();
    let mut snapshot = house.fake.view().to_snapshot();
    snapshot.recent.clear();
    house
        .fake
        .store()
        .restore(crate::store::State::from_snapshot(snapshot));
    let again = house.control.create_network(create_network("r1")).await;
    assert_eq!(again.unwrap().into_inner().network.unwrap(), first);
}

#[tokio::test]
async fn an_update_that_is_sent_again_is_done_once_although_the_version_has_moved() {
    let house = house(vec![fixture::service(1, 2).into()]);
    let update = |replicas, version, id: &str| {
        let mut spec = spec(1, &[], &[]);
        spec.replicated = Some(wire::ReplicatedMode { replicas });
        Request::new(wire::UpdateServiceRequest {
            target: "svc1".to_owned(),
            version,
            spec: Some(spec),
            request_id: id.to_owned(),
        })
    };
    let version = house
        .fake
        .view()
        .service(fixture::service_id(1))
        .unwrap()
        .meta
        .version;
    let first = house.control.update_service(update(5, version, "u1")).await;
    let first = first.unwrap().into_inner().service.unwrap();
    let again = house.control.update_service(update(5, version, "u1")).await;
    assert_eq!(again.unwrap().into_inner().service.unwrap(), first);
    let late = house.control.update_service(update(6, version, "u2")).await;
    refused(late, Code::Aborted, &["changed meanwhile"]);
}

#[tokio::test]
async fn a_write_asks_the_leader_nothing_unless_it_would_be_refused() {
    let house = house(Vec::new());
    house
        .control
        .create_service(create_service(1, ""))
        .await
        .unwrap();
    assert_eq!(house.fake.fresh_reads(), 0);
    refused(
        house.control.create_service(create_service(1, "")).await,
        Code::AlreadyExists,
        &[],
    );
    assert_eq!(house.fake.fresh_reads(), 1);
}

#[tokio::test]
async fn a_removal_that_is_sent_again_answers_as_done() {
    let house = house(vec![
        fixture::service(1, 2).into(),
        fixture::service(2, 2).into(),
        fixture::network(1).into(),
    ]);
    let id = fixture::service_id(1).to_string();
    let rm = |target: &str, id: &str| {
        Request::new(wire::RemoveServiceRequest {
            target: target.to_owned(),
            request_id: id.to_owned(),
        })
    };
    for _ in 0..2 {
        let removed = house.control.remove_service(rm(&id, "r1")).await;
        assert_eq!(removed.unwrap().into_inner().service_id, id);
    }
    // Another request for the same, and the same name of another call, are not done.
    let other = house.control.remove_service(rm(&id, "r2")).await;
    refused(other, Code::NotFound, &[]);
    house
        .control
        .remove_service(rm("svc2", "r3"))
        .await
        .unwrap();
    let by_name = house.control.remove_service(rm("svc2", "r3")).await;
    assert_eq!(by_name.unwrap().into_inner().service_id, "");

    let id = fixture::network_id(1).to_string();
    for _ in 0..2 {
        let request = wire::RemoveNetworkRequest {
            target: id.clone(),
            request_id: "r1".to_owned(),
        };
        let removed = house.control.remove_network(Request::new(request)).await;
        assert_eq!(removed.unwrap().into_inner().network_id, id);
    }
}

#[tokio::test]
async fn a_token_is_rotated_once_however_often_it_is_asked_for() {
    let house = super::cluster::real_house();
    let rotate = |id: &str| {
        Request::new(wire::GetJoinTokenRequest {
            role: wire::NodeRole::Worker.into(),
            rotate: true,
            request_id: id.to_owned(),
        })
    };
    let mut tokens = Vec::new();
    for id in ["r1", "r1", "r2"] {
        let answer = house.control.get_join_token(rotate(id)).await;
        tokens.push(answer.unwrap().into_inner().token);
    }
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
}
