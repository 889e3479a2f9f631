use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::ca::Founding;
use crate::ca::bootstrap;
use crate::fixture::node;
use std::time::Duration;
use std::time::UNIX_EPOCH;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_pki::JoinToken;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::command::Expect;
use weft_proto::defaults;
use weft_proto::object::ObjectKey;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

/// A house whose cluster has a real root and real tokens.
pub(super) fn real_house() -> House {
    let founding = Founding {
        description: node(1).description,
        data_addr: node(1).data_addr,
        advertise_addr: "192.0.2.1:2377".parse().unwrap(),
        settings: defaults::settings(),
        now: UNIX_EPOCH + Duration::from_secs(1_795_184_566),
        cluster: 77,
        node: 78,
    };
    let house = house(Vec::new());
    let founded = bootstrap(founding).unwrap();
    let changes = founded.changes.into_iter().map(|change| match change {
        Change::Put { object, .. } if object.key() == ObjectKey::Cluster => Change::Put {
            object,
            expect: Expect::Any,
        },
        other @ (Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. }) => other,
    });
    house.fake.write(changes.collect());
    house
}

async fn token(
    house: &House,
    role: wire::NodeRole,
    rotate: bool,
) -> Result<wire::GetJoinTokenResponse, Status> {
    let request = wire::GetJoinTokenRequest {
        request_id: String::new(),
        role: role.into(),
        rotate,
    };
    let answer = house.control.get_join_token(Request::new(request)).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn a_token_is_for_its_role_and_comes_with_the_managers_addresses() {
    let house = real_house();
    for (asked, role) in [
        (wire::NodeRole::Worker, Role::Worker),
        (wire::NodeRole::Manager, Role::Manager),
    ] {
        let answer = token(&house, asked, false).await.unwrap();
        assert_eq!(JoinToken::parse(&answer.token).unwrap().role(), role);
        assert_eq!(answer.manager_addrs, ["192.0.2.1:2377"]);
    }
    let unsaid = token(&house, wire::NodeRole::Unspecified, false).await;
    refused(
        unsaid,
        Code::InvalidArgument,
        &["role", "worker or manager"],
    );
}

#[tokio::test]
async fn a_rotated_token_differs_in_its_secret_only_and_leaves_the_other_role_alone() {
    let house = real_house();
    let old = token(&house, wire::NodeRole::Worker, false).await.unwrap();
    let other = token(&house, wire::NodeRole::Manager, false).await.unwrap();
    let new = token(&house, wire::NodeRole::Worker, true).await.unwrap();
    let (old, new) = (
        JoinToken::parse(&old.token).unwrap(),
        JoinToken::parse(&new.token).unwrap(),
    );
    assert_eq!(old.root(), new.root());
    assert_eq!(old.cluster(), new.cluster());
    assert!(!new.verifier().verify(old.secret()));
    let again = token(&house, wire::NodeRole::Worker, false).await.unwrap();
    let again = JoinToken::parse(&again.token).unwrap();
    assert!(new.verifier().verify(again.secret()), "it is stored");
    let same = token(&house, wire::NodeRole::Manager, false).await.unwrap();
    assert_eq!(same.token, other.token);
}

#[tokio::test]
async fn the_cluster_shows_its_digest_and_members_and_no_secret() {
    let house = real_house();
    let request = Request::new(wire::GetClusterRequest::default());
    let shown = house
        .control
        .get_cluster(request)
        .await
        .unwrap()
        .into_inner();
    let worker = token(&house, wire::NodeRole::Worker, false).await.unwrap();
    let digest = JoinToken::parse(&worker.token).unwrap().root().to_string();
    assert_eq!(shown.root_digest, digest);
    assert_eq!(shown.revision, house.fake.view().revision());
    assert_eq!(shown.members.len(), 1);
    let text = format!("{shown:?}");
    assert!(
        !text.contains("WFTKN") && !text.contains("PRIVATE"),
        "{text}"
    );
}
