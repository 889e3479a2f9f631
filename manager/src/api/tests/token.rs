use crate::api::tests::House;
use crate::api::tests::cluster::real_house;
use crate::api::tests::refused;
use crate::fixture::node;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_pki::JoinToken;
use weft_proto::JoinTokenId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::IssuedToken;
use weft_proto::object::PendingNode;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

fn order() -> wire::CreateJoinTokenRequest {
    wire::CreateJoinTokenRequest {
        role: wire::NodeRole::Worker.into(),
        name: "rack 7".to_owned(),
        ttl_ms: 60_000,
        uses: 3,
        labels: vec![wire::Label {
            key: "zone".to_owned(),
            value: "a".to_owned(),
        }],
        approve: true,
    }
}

async fn create(
    house: &House,
    order: wire::CreateJoinTokenRequest,
) -> Result<wire::CreateJoinTokenResponse, Status> {
    let answer = house.control.create_join_token(Request::new(order)).await?;
    Ok(answer.into_inner())
}

async fn list(house: &House) -> Vec<wire::JoinToken> {
    let request = Request::new(wire::ListJoinTokensRequest {});
    let answer = house.control.list_join_tokens(request).await.unwrap();
    answer.into_inner().tokens
}

async fn remove(house: &House, target: &str) -> Result<String, Status> {
    let request = Request::new(wire::RemoveJoinTokenRequest {
        target: target.to_owned(),
    });
    let answer = house.control.remove_join_token(request).await?;
    Ok(answer.into_inner().id)
}

async fn decide(house: &House, target: &str, accept: bool) -> Result<NodeId, Status> {
    let request = Request::new(wire::DecideNodeRequest {
        target: target.to_owned(),
        accept,
    });
    let answer = house.control.decide_node(request).await?;
    Ok(answer.into_inner().node_id.parse().unwrap())
}

fn stored(house: &House, id: &str) -> IssuedToken {
    let id: JoinTokenId = id.parse().unwrap();
    IssuedToken::clone(house.fake.view().join_token(id).unwrap())
}

/// Machine `n` waits with the token.
fn wait(house: &House, token: &str, n: u16) {
    let mut token = stored(house, token);
    let like = node(n);
    token.pending.push(PendingNode {
        id: NodeId::from_entropy(900 + u128::from(n)),
        description: like.description,
        data_addr: like.data_addr,
        advertise_addr: None,
        asked: Timestamp::default(),
        rejected: false,
    });
    house.fake.write(vec![Change::update(token)]);
}

async fn waiting(house: &House) -> Vec<String> {
    let request = Request::new(wire::ListNodesRequest::default());
    let answer = house.control.list_nodes(request).await.unwrap();
    let waiting = answer.into_inner().waiting.into_iter();
    let name = |one: wire::WaitingNode| one.node.unwrap().description.unwrap().hostname;
    waiting.map(name).collect()
}

#[tokio::test]
async fn the_secret_is_told_once_and_the_state_cannot_tell_it() {
    let house = real_house();
    house.clock.0.store(5_000, Ordering::Relaxed);
    let made = create(&house, order()).await.unwrap();
    let token = JoinToken::parse(&made.token).unwrap();
    assert_eq!(token.role(), Role::Worker);
    assert_eq!(made.manager_addrs, ["192.0.2.1:2377"]);
    let shown = made.made.unwrap();
    let kept = stored(&house, &shown.id);
    assert_eq!(kept.id, token.secret().id());
    assert_eq!(kept.sha256, *token.verifier().sha256());
    assert_eq!(kept.expires, Some(Timestamp::from_millis(65_000)));
    assert_eq!(
        (kept.uses_left, kept.used, kept.approve),
        (Some(3), 0, true)
    );
    assert_eq!(kept.labels.get("zone").map(String::as_str), Some("a"));
    // Neither lists nor watchers get what it is recognised by, nor logs the secret.
    assert!(shown.sha256.is_empty() && list(&house).await[0].sha256.is_empty());
    let secret = token.secret().as_bytes().to_vec();
    let whole = weft_proto::command::StoreSnapshot::encode(&house.fake.view().to_snapshot());
    assert!(!whole.windows(secret.len()).any(|part| part == secret));
    // The end of the text is the secret and a checksum; before it stands what every token says.
    let end = &made.token.as_bytes()[made.token.len() - 36..];
    assert!(!whole.windows(end.len()).any(|part| part == end));
}

#[tokio::test]
async fn what_no_token_can_be_is_refused() {
    let house = real_house();
    let bad = |change: fn(&mut wire::CreateJoinTokenRequest)| {
        let mut order = order();
        change(&mut order);
        create(&house, order)
    };
    let code = Code::InvalidArgument;
    refused(bad(|o| o.role = 0).await, code, &["role"]);
    refused(
        bad(|o| o.name = "x".repeat(999)).await,
        code,
        &["name", "999"],
    );
    refused(
        bad(|o| o.labels[0].key.clear()).await,
        code,
        &["labels[0].key"],
    );
    let many = |o: &mut wire::CreateJoinTokenRequest| {
        o.labels = (0..65)
            .map(|n| wire::Label {
                key: n.to_string(),
                value: String::new(),
            })
            .collect();
    };
    refused(bad(many).await, code, &["65", "64"]);
    assert_eq!(house.fake.view().join_tokens().count(), 0);
}

#[tokio::test]
async fn tokens_are_removed_by_name_or_identifier_and_bounded_in_number() {
    let house = real_house();
    let first = create(&house, order()).await.unwrap().made.unwrap();
    assert_eq!(remove(&house, "rack 7").await.unwrap(), first.id);
    let second = create(&house, order()).await.unwrap().made.unwrap();
    assert_eq!(remove(&house, &second.id[..9]).await.unwrap(), second.id);
    refused(
        remove(&house, &second.id).await,
        Code::NotFound,
        &["there is no join token"],
    );
    for _ in 0..1024 {
        create(&house, order()).await.unwrap();
    }
    let more = create(&house, order()).await;
    refused(more, Code::FailedPrecondition, &["1024", "join-token rm"]);
    // A day after they expired they go by themselves, when another one is made.
    let day = Duration::from_secs(24 * 3600 + 120);
    let day = u64::try_from(day.as_millis()).unwrap();
    house.clock.0.store(day, Ordering::Relaxed);
    create(&house, order()).await.unwrap();
    assert_eq!(house.fake.view().join_tokens().count(), 1);
}

#[tokio::test]
async fn a_waiting_machine_is_let_in_with_the_labels_of_its_token() {
    let house = real_house();
    let token = create(&house, order()).await.unwrap().made.unwrap().id;
    wait(&house, &token, 7);
    wait(&house, &token, 8);
    assert_eq!(waiting(&house).await, ["n7", "n8"]);
    let id = decide(&house, "n7", true).await.unwrap();
    let view = house.fake.view();
    let joined = view.node(id).unwrap();
    assert_eq!(joined.description.hostname, "n7");
    assert_eq!(
        joined.spec.labels.get("zone").map(String::as_str),
        Some("a")
    );
    assert_eq!(waiting(&house).await, ["n8"]);
    decide(&house, "n8", false).await.unwrap();
    assert!(waiting(&house).await.is_empty());
    assert!(
        stored(&house, &token).pending[0].rejected,
        "it will be told"
    );
    refused(
        decide(&house, "n8", true).await,
        Code::NotFound,
        &["no waiting node \"n8\""],
    );
}

#[tokio::test]
async fn an_address_that_was_given_away_meanwhile_speaks_against_whoever_waits() {
    let house = real_house();
    let token = create(&house, order()).await.unwrap().made.unwrap().id;
    wait(&house, &token, 7);
    house.fake.write(vec![Change::create(node(7))]);
    refused(
        decide(&house, "n7", true).await,
        Code::AlreadyExists,
        &["192.0.2.7", "node n7"],
    );
}
