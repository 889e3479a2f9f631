//! Machines that wait to be let in.

use crate::ca::accept;
use crate::ca::reject;
use crate::ca::tests::House;
use crate::ca::tests::csr;
use crate::ca::tests::house;
use crate::ca::tests::now;
use crate::ca::tests::refused;
use crate::ca::tests::tokens::make;
use crate::ca::tests::tokens::request;
use crate::ca::tests::tokens::stored;
use std::time::Duration;
use tonic::Code;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::time::Timestamp;
use weft_proto::wire;

fn approving(house: &House, role: Role) -> String {
    make(house, role, |token| token.approve = true)
}

fn accept_first(house: &House, token: &str) {
    let token = stored(house, token);
    let pending = token.waiting().next().unwrap();
    let decision = accept(&house.fake.view(), &token, pending, now().into()).unwrap();
    house.fake.write(decision.changes);
}

#[tokio::test]
async fn who_waits_gets_no_certificate_until_a_person_lets_it_in() {
    let house = house();
    let token = approving(&house, Role::Manager);
    let key = PrivateKey::generate().unwrap();
    let mut asks = request(&house, 2, &token);
    asks.csr_der = csr(&key);
    let waits = house.issue(asks.clone()).await.unwrap();
    assert!(waits.waits && waits.chain_der.is_empty());
    assert_eq!(waits.manager_addrs, ["192.0.2.1:2377"], "whom else to ask");
    assert_eq!(house.fake.view().nodes().count(), 1, "it is no node");
    // Asking again, with a new signature of the same key, writes nothing and takes no use.
    let proposals = house.fake.proposals();
    for _ in 0..100 {
        asks.csr_der = csr(&key);
        assert!(house.issue(asks.clone()).await.unwrap().waits);
    }
    assert_eq!(house.fake.proposals(), proposals);
    assert_eq!(stored(&house, &token).used, 1);

    accept_first(&house, &token);
    // The token may be gone by then: the machine is known by its key.
    house
        .fake
        .write(vec![Change::remove(stored(&house, &token))]);
    let joined = house.issue(asks.clone()).await.unwrap();
    assert_eq!(joined.node_id, waits.node_id);
    assert!(!joined.waits && joined.role() == wire::NodeRole::Manager);
    assert_eq!(joined.raft_id, 2);
    let root = RootCert::from_der(house.cluster().root_certificate.into()).unwrap();
    let chain = CertificateChain::from_der(joined.chain_der).unwrap();
    let own = Credentials::new(key, chain, root).unwrap();
    assert_eq!(own.identity().node.to_string(), joined.node_id);
    // An answer that was lost is given again, until the node was heard of.
    assert!(house.issue(asks.clone()).await.is_ok());
    let id = joined.node_id.parse().unwrap();
    let mut node = Node::clone(house.fake.view().node(id).unwrap());
    node.status.state = NodeState::Ready;
    house.fake.write(vec![Change::update(node)]);
    refused(
        house.issue(asks).await,
        Code::PermissionDenied,
        &["not valid"],
    );
}

#[tokio::test]
async fn who_waits_is_known_by_its_key_and_not_by_what_it_says() {
    let house = house();
    let token = approving(&house, Role::Worker);
    let honest = house.issue(request(&house, 2, &token)).await.unwrap();
    accept_first(&house, &token);
    // Another key, the same name and address: it must wait for itself.
    let other = house.issue(request(&house, 3, &token)).await.unwrap();
    assert!(other.waits && other.node_id != honest.node_id);
}

#[tokio::test]
async fn who_is_rejected_is_told_and_stays_rejected() {
    let house = house();
    let token = approving(&house, Role::Worker);
    let asks = request(&house, 2, &token);
    house.issue(asks.clone()).await.unwrap();
    let kept = stored(&house, &token);
    let decision = reject(&kept, &kept.pending[0]);
    house.fake.write(decision.changes);
    let proposals = house.fake.proposals();
    for _ in 0..3 {
        let told = house.issue(asks.clone()).await;
        refused(told, Code::PermissionDenied, &["not let into the cluster"]);
    }
    assert_eq!(house.fake.proposals(), proposals);
}

#[tokio::test]
async fn so_many_wait_and_no_more_and_those_of_yesterday_are_forgotten() {
    let house = house();
    let token = approving(&house, Role::Worker);
    assert!(house.issue(request(&house, 2, &token)).await.unwrap().waits);
    let mut kept = stored(&house, &token);
    for n in 1..64 {
        let mut other = kept.pending[0].clone();
        other.id = NodeId::from_entropy(n);
        kept.pending.push(other);
    }
    house.fake.write(vec![Change::update(kept)]);
    let more = house.issue(request(&house, 70, &token)).await;
    refused(more, Code::ResourceExhausted, &["too many", "accept"]);
    let mut kept = stored(&house, &token);
    assert_eq!((kept.pending.len(), kept.used), (64, 1));
    let yesterday = Timestamp::from(now() - Duration::from_secs(25 * 3600));
    for pending in &mut kept.pending {
        pending.asked = yesterday;
    }
    house.fake.write(vec![Change::update(kept)]);
    assert!(
        house
            .issue(request(&house, 71, &token))
            .await
            .unwrap()
            .waits
    );
    assert_eq!(stored(&house, &token).pending.len(), 1);
}

#[tokio::test]
async fn an_accepted_node_that_was_removed_before_it_came_is_told_so() {
    let house = house();
    let token = approving(&house, Role::Worker);
    let asks = request(&house, 2, &token);
    let waits = house.issue(asks.clone()).await.unwrap();
    accept_first(&house, &token);
    let id = waits.node_id.parse().unwrap();
    let node = Node::clone(house.fake.view().node(id).unwrap());
    house.fake.write(vec![Change::remove(node)]);
    refused(
        house.issue(asks).await,
        Code::PermissionDenied,
        &["not let"],
    );
}

#[tokio::test]
async fn a_damaged_request_does_not_wait() {
    let house = house();
    let token = approving(&house, Role::Worker);
    let mut asks = request(&house, 2, &token);
    if let Some(last) = asks.csr_der.last_mut() {
        *last ^= 1;
    }
    refused(house.issue(asks).await, Code::InvalidArgument, &["damaged"]);
    assert_eq!(stored(&house, &token).used, 0);
}
