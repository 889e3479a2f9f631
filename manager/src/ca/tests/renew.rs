use crate::ca::tests::House;
use crate::ca::tests::csr;
use crate::ca::tests::house;
use crate::ca::tests::refused;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_pki::CertificateChain;
use weft_pki::NodeIdentity;
use weft_pki::PeerIdentity;
use weft_pki::PrivateKey;
use weft_proto::ClusterId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::wire;
use weft_proto::wire::ca_server::Ca;

async fn renew(
    house: &House,
    node: Option<NodeIdentity>,
    csr_der: Vec<u8>,
) -> Result<wire::RenewResponse, Status> {
    let mut request = Request::new(wire::RenewRequest { csr_der });
    let remote = "192.0.2.2:40000".parse().unwrap();
    request.extensions_mut().insert(PeerIdentity {
        node,
        user: None,
        remote,
        revoked: false,
    });
    Ok(house.ca.renew(request).await?.into_inner())
}

async fn joined(house: &House) -> NodeIdentity {
    let answer = house.join(2, Role::Worker).await;
    NodeIdentity {
        cluster: answer.cluster_id.parse().unwrap(),
        role: Role::Worker,
        node: answer.node_id.parse().unwrap(),
    }
}

fn fresh_csr() -> Vec<u8> {
    csr(&PrivateKey::generate().unwrap())
}

fn holder(answer: wire::RenewResponse) -> NodeIdentity {
    let chain = CertificateChain::from_der(answer.chain_der).unwrap();
    NodeIdentity::from_certificate(&chain.certificates()[0]).unwrap()
}

#[tokio::test]
async fn a_node_renews_its_own_certificate_without_writing_anything() {
    let house = house();
    let node = joined(&house).await;
    let before = house.fake.proposals();
    let answer = renew(&house, Some(node), fresh_csr()).await.unwrap();
    assert_eq!(answer.role(), wire::NodeRole::Worker);
    assert_eq!(holder(answer), node);
    assert_eq!(house.fake.proposals(), before);
}

#[tokio::test]
async fn the_new_certificate_has_the_role_that_the_node_has_now() {
    let house = house();
    let worker = joined(&house).await;
    let claims_more = NodeIdentity {
        role: Role::Manager,
        ..worker
    };
    let answer = renew(&house, Some(claims_more), fresh_csr()).await.unwrap();
    assert_eq!(holder(answer), worker);
}

#[tokio::test]
async fn a_removed_node_gets_no_new_certificate() {
    let house = house();
    let node = joined(&house).await;
    let object = Node::clone(house.fake.view().node(node.node).unwrap());
    house.fake.write(vec![Change::remove(object)]);
    refused(
        renew(&house, Some(node), fresh_csr()).await,
        Code::PermissionDenied,
        &[node.node.as_str(), "removed", "weft cluster leave"],
    );
}

#[tokio::test]
async fn nobody_renews_without_an_identity_of_this_cluster() {
    let house = house();
    let node = joined(&house).await;
    let anonymous = renew(&house, None, fresh_csr()).await;
    refused(anonymous, Code::Unauthenticated, &["join again"]);
    let stranger = NodeIdentity {
        cluster: ClusterId::from_entropy(5),
        ..node
    };
    let stranger = renew(&house, Some(stranger), fresh_csr()).await;
    refused(stranger, Code::PermissionDenied, &["not one of cluster"]);
    let garbage = renew(&house, Some(node), vec![0; 9]).await;
    refused(garbage, Code::InvalidArgument, &["damaged"]);
}
