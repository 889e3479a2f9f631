use crate::api::tests::House;
use crate::api::tests::cluster::real_house;
use crate::api::tests::refused;
use std::time::Duration;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::object::RotationStage;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

const HOUR: u64 = 3_600_000;
const NOW: i64 = 1_795_184_566_000;

async fn set_ttl(house: &House, ttl: u64, development: bool) -> Result<(), Status> {
    let request = wire::UpdateClusterRequest {
        certificate_ttl_ms: Some(ttl),
        development,
        ..wire::UpdateClusterRequest::default()
    };
    house.control.update_cluster(Request::new(request)).await?;
    Ok(())
}

async fn rotate(house: &House, request: wire::RotateCaRequest) -> Result<(), Status> {
    house.control.rotate_ca(Request::new(request)).await?;
    Ok(())
}

fn own_root(request_id: &str) -> wire::RotateCaRequest {
    wire::RotateCaRequest {
        request_id: request_id.to_owned(),
        at_ms: NOW,
        ..wire::RotateCaRequest::default()
    }
}

async fn show(house: &House) -> wire::GetCaResponse {
    let answer = house
        .control
        .get_ca(Request::new(wire::GetCaRequest {}))
        .await;
    answer.unwrap().into_inner()
}

/// The cluster as watchers see it.
fn shown_object(house: &House) -> String {
    let cluster = house.fake.view().cluster().unwrap().clone();
    format!(
        "{:?}",
        crate::api::shown::shown(&crate::store::Item::Cluster(cluster))
    )
}

#[tokio::test]
async fn certificates_live_an_hour_to_ninety_days_and_seconds_only_for_developers() {
    let house = real_house();
    for (ttl, development) in [(HOUR, false), (90 * 24 * HOUR, false), (2_000, true)] {
        set_ttl(&house, ttl, development).await.unwrap();
        let kept = house
            .fake
            .view()
            .cluster()
            .unwrap()
            .settings
            .certificate_ttl;
        assert_eq!(kept, Duration::from_millis(ttl));
        assert_eq!(show(&house).await.certificate_ttl_ms, ttl);
    }
    for (ttl, development) in [
        (HOUR - 1, false),
        (90 * 24 * HOUR + 1, false),
        (90 * 24 * HOUR + 1, true),
        (1_999, true),
        (0, true),
    ] {
        let answer = set_ttl(&house, ttl, development).await;
        refused(answer, Code::InvalidArgument, &["1h", "90 days"]);
    }
}

#[tokio::test]
async fn a_rotation_begins_once_shows_whom_it_waits_for_and_is_called_off() {
    let house = real_house();
    let before = show(&house).await;
    assert_eq!(before.rotation, None);
    assert!(before.root_pem.contains("BEGIN CERTIFICATE"));
    for _ in 0..2 {
        rotate(&house, own_root("one")).await.unwrap();
    }
    let shown = show(&house).await;
    assert_eq!(
        shown.digest, before.digest,
        "the old root is the root until it is done"
    );
    let text = format!("{shown:?}");
    assert!(!text.contains("PRIVATE"), "{text}");
    let watched = shown_object(&house);
    assert!(
        !watched.contains("PRIVATE") && watched.contains("cross_der"),
        "{watched}"
    );
    let progress = shown.rotation.unwrap();
    assert_eq!(progress.stage(), wire::root_rotation::Stage::Spreading);
    assert_ne!(progress.digest, shown.digest);
    assert_eq!((progress.nodes, progress.waiting.len()), (1, 1));
    assert!(progress.waiting[0].reason.contains("never said"));

    let again = rotate(&house, own_root("two")).await;
    refused(again, Code::FailedPrecondition, &["already", "--abort"]);
    let abort = |id: &str| wire::RotateCaRequest {
        abort: true,
        ..own_root(id)
    };
    rotate(&house, abort("three")).await.unwrap();
    assert_eq!(show(&house).await, before);
    let nothing = rotate(&house, abort("four")).await;
    refused(nothing, Code::FailedPrecondition, &["nothing to call off"]);
}

#[tokio::test]
async fn a_given_root_must_be_whole_and_this_clusters() {
    let house = real_house();
    let mut half = own_root("one");
    half.cert_pem = show(&house).await.root_pem;
    refused(
        rotate(&house, half).await,
        Code::InvalidArgument,
        &["--key"],
    );
    let at = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW).unwrap());
    let given = |cluster| {
        let root = weft_pki::Root::create(cluster, at).unwrap();
        wire::RotateCaRequest {
            cert_pem: root.cert().to_pem(),
            key_pem: root.key_pem().as_str().to_owned(),
            ..own_root("")
        }
    };
    let stranger = given(weft_proto::ClusterId::from_entropy(5));
    let answer = rotate(&house, stranger).await;
    refused(answer, Code::InvalidArgument, &["spiffe://"]);
    let own = house.fake.view().cluster().unwrap().id;
    rotate(&house, given(own)).await.unwrap();
    let rotation = house.fake.view().cluster().unwrap().rotation.clone();
    assert_eq!(rotation.unwrap().stage, RotationStage::Spreading);
}
