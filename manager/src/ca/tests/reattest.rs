use crate::ca::tests::House;
use crate::ca::tests::csr;
use crate::ca::tests::house;
use crate::ca::tests::now;
use crate::ca::tests::refused;
use tonic::Code;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::PrivateKey;
use weft_pki::Trust;
use weft_pki::rotation;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::wire;

/// A worker that joined, with what it proves its identity with.
async fn joined(house: &House) -> Credentials {
    let key = PrivateKey::generate().unwrap();
    let mut request = house.request(2, Role::Worker);
    request.csr_der = csr(&key);
    let answer = house.issue(request).await.unwrap();
    credentials(key, answer)
}

fn credentials(key: PrivateKey, answer: wire::IssueResponse) -> Credentials {
    let chain = CertificateChain::from_der(answer.chain_der).unwrap();
    let trust = Trust::from_der(answer.certificates.unwrap().trusted_der).unwrap();
    Credentials::new(key, chain, trust).unwrap()
}

/// What the node sends when its certificate has expired, with the key of the new one.
fn again(house: &House, was: &Credentials, token: Role) -> (PrivateKey, wire::IssueRequest) {
    let key = PrivateKey::generate().unwrap();
    let csr_der = csr(&key);
    let chain = was.chain().certificates().iter();
    let proof = wire::NodeProof {
        chain_der: chain.map(|der| der.to_vec()).collect(),
        signature: was.prove(&csr_der).unwrap(),
    };
    let request = wire::IssueRequest {
        token: house.token(token),
        csr_der,
        proof: Some(proof),
        ..house.request(2, Role::Worker)
    };
    (key, request)
}

#[tokio::test]
async fn a_member_with_a_token_and_its_old_key_gets_a_new_certificate_and_stays_itself() {
    let house = house();
    let was = joined(&house).await;
    let before = house.fake.view().nodes().count();
    let (key, request) = again(&house, &was, Role::Worker);
    let answer = house.issue(request).await.unwrap();
    let is = credentials(key, answer);
    assert_eq!(is.identity(), was.identity());
    assert_eq!(house.fake.view().nodes().count(), before, "nobody new");
}

#[tokio::test]
async fn neither_the_wrong_token_nor_a_strangers_key_nor_a_removed_node_is_let_in() {
    let house = house();
    let was = joined(&house).await;
    let (_, request) = again(&house, &was, Role::Manager);
    let parts = ["is a worker", "token is for a manager", "join-token worker"];
    refused(house.issue(request).await, Code::PermissionDenied, &parts);

    let (_, mut forged) = again(&house, &was, Role::Worker);
    forged.csr_der = csr(&PrivateKey::generate().unwrap());
    refused(
        house.issue(forged).await,
        Code::PermissionDenied,
        &["cannot be taken for who it says it is"],
    );

    let object = Node::clone(house.fake.view().node(was.identity().node).unwrap());
    house.fake.write(vec![Change::remove(object)]);
    let (_, request) = again(&house, &was, Role::Worker);
    let answer = house.issue(request).await;
    refused(
        answer,
        Code::PermissionDenied,
        &["removed", "leave --force"],
    );
}

#[tokio::test]
async fn what_is_issued_follows_the_change_of_the_root() {
    let house = house();
    let was = joined(&house).await;
    let new = weft_pki::Root::create(house.cluster().id, now()).unwrap();
    let spreading = rotation::begin(&house.cluster(), &new, now()).unwrap();
    let issuing = rotation::step(&spreading, &[]).unwrap();
    let done = rotation::step(&issuing, &[]).unwrap();
    let old_token = house.token(Role::Worker);
    for (n, (cluster, issuer)) in (3..).zip([
        (&spreading, was.issuer()),
        (&issuing, new.cert().digest().into()),
    ]) {
        write(&house, cluster);
        let key = PrivateKey::generate().unwrap();
        let mut request = house.request(n, Role::Worker);
        request.csr_der = csr(&key);
        assert_eq!(request.token, old_token, "good until the change is done");
        let own = credentials(key, house.issue(request).await.unwrap());
        assert_eq!(own.issuer(), issuer);
        assert_eq!(own.trust().fingerprints().len(), 2);
    }
    write(&house, &done);
    let mut stale = house.request(9, Role::Worker);
    stale.token = old_token;
    let answer = house.issue(stale).await;
    refused(
        answer,
        Code::PermissionDenied,
        &["not valid", "join-token worker"],
    );
    house.join(9, Role::Worker).await;
}

/// Two steps at one moment: what was decided on the state before is decided again.
#[tokio::test]
async fn a_machine_that_joins_while_a_step_is_taken_gets_the_certificate_of_the_step() {
    let house = house();
    let new = weft_pki::Root::create(house.cluster().id, now()).unwrap();
    let spreading = rotation::begin(&house.cluster(), &new, now()).unwrap();
    write(&house, &spreading);
    let issuing = rotation::step(&house.cluster(), &[]).unwrap();
    let key = PrivateKey::generate().unwrap();
    let mut request = house.request(2, Role::Worker);
    request.csr_der = csr(&key);
    house.fake.rival(vec![Change::update(issuing)]);
    let own = credentials(key, house.issue(request).await.unwrap());
    assert_eq!(own.issuer(), new.cert().digest().into());
}

fn write(house: &House, cluster: &weft_proto::object::Cluster) {
    house.fake.write(vec![Change::Put {
        object: cluster.clone().into(),
        expect: weft_proto::command::Expect::Any,
    }]);
}
