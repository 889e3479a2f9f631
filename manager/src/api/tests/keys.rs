use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::fixture::key_ring;
use crate::fixture::node;
use crate::fixture::tunnel_key;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::object::KeyPhase;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

async fn update(
    house: &House,
    rotate: bool,
    every_ms: Option<u64>,
) -> Result<wire::UpdateKeysResponse, Status> {
    let request = wire::UpdateKeysRequest {
        rotate,
        rotation_ms: every_ms,
        ..wire::UpdateKeysRequest::default()
    };
    let answer = house.control.update_keys(Request::new(request)).await?;
    Ok(answer.into_inner())
}

async fn get(house: &House) -> wire::GetKeysResponse {
    let request = Request::new(wire::GetKeysRequest::default());
    house.control.get_keys(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_new_key_is_asked_for_once_however_often_before_it_is_made() {
    let house = house(Vec::new());
    assert_eq!(get(&house).await.epochs, []);
    for _ in 0..2 {
        assert_eq!(update(&house, true, None).await.unwrap().epoch, 1);
    }
    assert_eq!(house.fake.view().cluster().unwrap().keys_wanted, 1);
    house
        .fake
        .write(vec![weft_proto::command::Change::create(key_ring(&[(
            1,
            KeyPhase::Active,
        )]))]);
    assert_eq!(update(&house, true, None).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn while_a_key_is_distributed_it_is_the_new_one() {
    let ring = key_ring(&[(4, KeyPhase::Active), (5, KeyPhase::Distributing)]);
    let house = house(vec![ring.into()]);
    assert_eq!(update(&house, true, None).await.unwrap().epoch, 5);
    assert_eq!(house.fake.view().cluster().unwrap().keys_wanted, 0);
}

#[tokio::test]
async fn how_old_keys_get_can_be_changed_within_reason() {
    let house = house(Vec::new());
    let hour = 3_600_000;
    let changed = update(&house, false, Some(hour)).await.unwrap();
    assert_eq!((changed.epoch, changed.rotation_ms), (0, hour));
    assert_eq!(get(&house).await.rotation_ms, hour);
    for wrong in [0, 999, 31 * 24 * hour] {
        let refusal = update(&house, false, Some(wrong)).await;
        refused(refusal, Code::InvalidArgument, &["1s to 30 days"]);
    }
}

#[tokio::test]
async fn keys_are_told_by_number_and_never_shown() {
    let ring = key_ring(&[(4, KeyPhase::Active), (5, KeyPhase::Distributing)]);
    let key = ring.epochs[1].key.expose().to_vec();
    let house = house(vec![ring.into()]);
    let epochs = get(&house).await.epochs;
    let numbers: Vec<_> = epochs.iter().map(|epoch| epoch.number).collect();
    assert_eq!(numbers, [4, 5]);
    assert!(epochs.iter().all(|epoch| epoch.key.is_empty()));
    let view = house.fake.view();
    for item in view.items() {
        let shown = prost::Message::encode_to_vec(&crate::api::shown::shown(&item));
        assert!(!shown.windows(key.len()).any(|window| window == key));
    }
}

#[tokio::test]
async fn a_network_is_encrypted_only_where_a_node_can_do_that() {
    let create = |house: House| async move {
        let request = wire::CreateNetworkRequest {
            spec: Some(wire::NetworkSpec {
                name: "safe".to_owned(),
                encrypted: true,
                ..wire::NetworkSpec::default()
            }),
            ..wire::CreateNetworkRequest::default()
        };
        let answer = house.control.create_network(Request::new(request)).await?;
        Ok(answer.into_inner().network.unwrap().spec.unwrap().encrypted)
    };
    // A public key alone is no promise.
    let mut able = node(1);
    able.tunnel_key = Some(tunnel_key(1));
    let refusal = create(house(vec![able.clone().into()])).await;
    let words = ["cannot be encrypted", "Nothing was created"];
    refused(refusal, Code::FailedPrecondition, &words);
    able.description.encrypts = true;
    assert!(create(house(vec![able.into()])).await.unwrap());
}
