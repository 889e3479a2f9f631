use crate::ca::tests::House;
use crate::ca::tests::csr;
use crate::ca::tests::house;
use crate::ca::tests::now;
use crate::ca::tests::refused;
use crate::fixture::network;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::Code;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::JoinToken;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::TokenSecret;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::wire;

fn node_of(house: &House, answer: &wire::IssueResponse) -> Node {
    let id: NodeId = answer.node_id.parse().unwrap();
    Node::clone(house.fake.view().node(id).unwrap())
}

fn set_state(house: &House, node: &Node, state: NodeState) {
    let mut node = Node::clone(house.fake.view().node(node.id).unwrap());
    node.status.state = state;
    house.fake.write(vec![Change::update(node)]);
}

#[tokio::test]
async fn a_worker_joins_with_a_certificate_of_its_own() {
    let house = house();
    let key = PrivateKey::generate().unwrap();
    let mut request = house.request(2, Role::Worker);
    request.csr_der = csr(&key);
    let answer = house.issue(request).await.unwrap();
    assert_eq!(answer.role(), wire::NodeRole::Worker);
    assert_eq!(answer.raft_id, 0);
    assert_eq!(answer.manager_addrs, ["192.0.2.1:2377"]);
    let node = node_of(&house, &answer);
    assert_eq!((node.spec.role, node.number.get()), (Role::Worker, 2));
    assert_eq!(node.status.state, NodeState::Unknown);
    assert_eq!(node.manager, None);
    let root = CertificateDer::from(house.cluster().root_certificate);
    let chain = CertificateChain::from_der(answer.chain_der).unwrap();
    let own = Credentials::new(key, chain, RootCert::from_der(root).unwrap()).unwrap();
    assert_eq!(own.identity().node, node.id);
    assert_eq!(own.identity().role, Role::Worker);
    assert_eq!(own.not_after(), now() + Duration::from_secs(24 * 3600));
}

#[tokio::test]
async fn every_manager_gets_a_raft_id_that_nobody_had() {
    let house = house();
    let two = house.join(2, Role::Manager).await;
    assert_eq!((two.raft_id, two.role()), (2, wire::NodeRole::Manager));
    assert_eq!(two.manager_addrs, ["192.0.2.1:2377"], "not its own");
    let two = node_of(&house, &two);
    assert_eq!(two.manager.unwrap().addr.to_string(), "192.0.2.2:2377");
    house.fake.write(vec![Change::remove(two)]);
    assert_eq!(house.join(3, Role::Manager).await.raft_id, 3);
    assert_eq!(house.cluster().next_raft_id, 4);
}

#[tokio::test]
async fn two_managers_that_admit_at_one_moment_give_different_numbers() {
    let house = house();
    let mut cluster = house.cluster();
    cluster.next_raft_id = 9;
    let mut rival = crate::fixture::node(7);
    rival.number = 2.try_into().unwrap();
    house
        .fake
        .rival(vec![Change::update(cluster), Change::create(rival)]);
    let answer = house.join(2, Role::Manager).await;
    assert_eq!(answer.raft_id, 9);
    assert_eq!(node_of(&house, &answer).number.get(), 3);
}

#[tokio::test]
async fn many_nodes_that_join_at_once_all_join() {
    let house = house();
    let joins = (2..=40).map(|n| house.join(n, Role::Worker));
    futures::future::join_all(joins).await;
    assert_eq!(house.fake.view().nodes().count(), 40);
}

#[tokio::test]
async fn a_token_that_is_none_is_called_what_it_is() {
    let house = house();
    let good = house.token(Role::Worker);
    let issue = |token: &str| {
        let mut request = house.request(2, Role::Worker);
        request.token = token.to_owned();
        house.issue(request)
    };
    let half = &good[..good.len() / 2];
    refused(issue(half).await, Code::InvalidArgument, &["cut off"]);
    refused(
        issue("").await,
        Code::InvalidArgument,
        &["not a join token"],
    );
    let swapped = good.replace("_w_", "_m_");
    refused(issue(&swapped).await, Code::InvalidArgument, &["checksum"]);
    assert_eq!(house.fake.proposals(), 0);
}

#[tokio::test]
async fn a_token_of_another_cluster_is_refused_with_both_names() {
    let (ours, theirs) = (house(), house());
    let mut request = ours.request(2, Role::Worker);
    request.token = theirs.token(Role::Worker);
    refused(
        ours.issue(request).await,
        Code::PermissionDenied,
        &[ours.cluster().id.as_str(), theirs.cluster().id.as_str()],
    );
}

#[tokio::test]
async fn a_rotated_or_invented_token_is_refused() {
    let house = house();
    let old = house.request(2, Role::Worker);
    let stored = JoinToken::parse(&house.token(Role::Worker)).unwrap();
    let other = |role, secret: &TokenSecret| {
        JoinToken::new(role, stored.cluster(), stored.root(), secret.clone()).reveal()
    };
    let mut cluster = house.cluster();
    let fresh = TokenSecret::random().unwrap();
    cluster.worker_token = other(Role::Worker, &fresh).to_string();
    house.fake.write(vec![Change::update(cluster)]);
    let rotated = house.issue(old).await;
    let remedy = "weft cluster join-token worker";
    refused(rotated, Code::PermissionDenied, &["rotated", remedy]);

    // The worker's secret in a token that says manager, with a good checksum.
    let mut forged = house.request(2, Role::Manager);
    forged.token = other(Role::Manager, &fresh).to_string();
    refused(house.issue(forged).await, Code::PermissionDenied, &[]);

    assert_eq!(house.fake.proposals(), 0);
}

#[tokio::test]
async fn a_token_that_is_rotated_meanwhile_does_not_admit() {
    let house = house();
    let request = house.request(2, Role::Manager);
    let mut cluster = house.cluster();
    let stored = JoinToken::parse(&cluster.manager_token).unwrap();
    let secret = TokenSecret::random().unwrap();
    let fresh = JoinToken::new(Role::Manager, stored.cluster(), stored.root(), secret);
    cluster.manager_token = fresh.reveal().to_string();
    house.fake.rival(vec![Change::update(cluster)]);
    refused(
        house.issue(request).await,
        Code::PermissionDenied,
        &["rotated"],
    );
    assert_eq!(house.fake.view().nodes().count(), 1);
}

#[tokio::test]
async fn addresses_that_no_node_can_have_are_refused() {
    let house = house();
    house.fake.write(vec![Change::create(network(1))]);
    let issue = |data: &str, advertise: &str| {
        let mut request = house.request(2, Role::Manager);
        request.data_addr = data.to_owned();
        request.advertise_addr = advertise.to_owned();
        house.issue(request)
    };
    let good = "192.0.2.2:2377";
    let bad = Code::InvalidArgument;
    for data in [
        "",
        "here",
        "192.0.2.2:1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "fe80::1",
    ] {
        refused(issue(data, good).await, bad, &["--data-path-addr"]);
    }
    for advertise in ["", "192.0.2.2", "0.0.0.0:2377", "192.0.2.2:0"] {
        refused(
            issue("192.0.2.2", advertise).await,
            bad,
            &["--advertise-addr"],
        );
    }
    refused(issue("10.0.1.9", good).await, bad, &["network net1"]);
    refused(issue("10.255.1.9", good).await, bad, &["ingress pool"]);
    assert!(issue("127.0.0.2", "127.0.0.2:2377").await.is_ok());
}

#[tokio::test]
async fn an_address_of_a_living_node_is_refused_with_its_name() {
    let house = house();
    let other = node_of(&house, &house.join(2, Role::Worker).await);
    let mut request = house.request(3, Role::Worker);
    request.data_addr = other.data_addr.to_string();
    for state in [NodeState::Unknown, NodeState::Ready] {
        set_state(&house, &other, state);
        let taken = house.issue(request.clone()).await;
        let state = state.to_string();
        refused(
            taken,
            Code::AlreadyExists,
            &["192.0.2.2", "node n2", &state],
        );
    }
    set_state(&house, &other, NodeState::Down);
    assert!(house.issue(request).await.is_ok());

    let mut request = house.request(4, Role::Manager);
    request.advertise_addr = "192.0.2.1:2377".to_owned();
    refused(
        house.issue(request).await,
        Code::AlreadyExists,
        &["node n1"],
    );
}

#[tokio::test]
async fn a_machine_whose_answer_was_lost_joins_again_and_leaves_no_ghost() {
    let house = house();
    let lost = node_of(&house, &house.join(2, Role::Worker).await);
    let again = node_of(&house, &house.join(2, Role::Worker).await);
    assert_ne!(lost.id, again.id);
    let view = house.fake.view();
    assert!(view.node(lost.id).is_none());
    assert_eq!(view.nodes().count(), 2);
    set_state(&house, &again, NodeState::Ready);
    let third = house.issue(house.request(2, Role::Worker)).await;
    refused(third, Code::AlreadyExists, &["node n2", "ready"]);
}

#[tokio::test]
async fn a_request_without_its_parts_is_refused() {
    let house = house();
    let mut request = house.request(2, Role::Worker);
    request.csr_der = b"hello".to_vec();
    refused(
        house.issue(request).await,
        Code::InvalidArgument,
        &["damaged or not signed"],
    );
    let mut request = house.request(2, Role::Worker);
    request.description = None;
    refused(
        house.issue(request).await,
        Code::InvalidArgument,
        &["description"],
    );
    let mut request = house.request(2, Role::Worker);
    request.description.as_mut().unwrap().hostname.clear();
    refused(
        house.issue(request).await,
        Code::InvalidArgument,
        &["host name"],
    );
    assert_eq!(house.fake.proposals(), 0);
}
