use crate::ca::Founding;
use crate::ca::bootstrap;
use crate::fixture;
use crate::people::MAX_USERS;
use crate::people::People;
use crate::propose::fake::FakeProposer;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;
use tonic::Code;
use tonic::Status;
use weft_pki::CertificateChain;
use weft_pki::PrivateKey;
use weft_pki::UserProof;
use weft_pki::certificate_request;
use weft_pki::key_digest;
use weft_proto::CommandId;
use weft_proto::UserId;
use weft_proto::command::Change;
use weft_proto::defaults;
use weft_proto::object::KeyDigest;
use weft_proto::object::User;
use weft_proto::object::UserRole;
use weft_proto::time::Clock;
use weft_proto::wire;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_184_566)
    }
}

fn house() -> (Arc<FakeProposer>, People) {
    let fake = Arc::new(FakeProposer::default());
    let founded = bootstrap(Founding {
        settings: defaults::settings(),
        description: fixture::node(1).description,
        data_addr: fixture::node(1).data_addr,
        advertise_addr: "192.0.2.1:2377".parse().unwrap(),
        now: Stopped.now(),
        cluster: 1,
        node: 1,
        unlock_key: None,
    });
    fake.write(founded.unwrap().changes);
    let next = AtomicU64::new(1000);
    let ids = move || u128::from(next.fetch_add(1, Ordering::Relaxed));
    let people = People::new(fake.clone(), Arc::new(Stopped), Arc::new(ids));
    (fake, people)
}

fn request(name: &str, role: wire::UserRole, key: &PrivateKey) -> wire::CreateUserRequest {
    wire::CreateUserRequest {
        name: name.to_owned(),
        role: role.into(),
        csr_der: certificate_request(key).unwrap(),
        ..wire::CreateUserRequest::default()
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

#[track_caller]
fn refused<T>(answer: Result<T, Status>, code: Code, parts: &[&str]) {
    let Err(status) = answer else {
        panic!("it was not refused");
    };
    assert_eq!(status.code(), code, "{status}");
    for part in parts {
        let text = status.message();
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

fn digest(certificate: &wire::UserCertificate) -> KeyDigest {
    let chain = CertificateChain::from_der(certificate.chain_der.clone()).unwrap();
    key_digest(&chain.certificates()[0]).unwrap()
}

#[tokio::test]
async fn a_user_gets_a_certificate_for_her_key_and_renews_it_with_the_same_one() {
    let (fake, people) = house();
    let alices = key();
    let wanted = request("alice", wire::UserRole::Operator, &alices);
    let made = people.create(&wanted, None).await.unwrap();
    let user = User::try_from(made.user.unwrap()).unwrap();
    let certificate = made.certificate.unwrap();
    assert_eq!((user.role, &user.stack), (UserRole::Operator, &None));
    assert_eq!(digest(&certificate), user.key);
    assert_eq!(certificate.manager_addrs, ["192.0.2.1:2377"]);
    let month = Stopped.timestamp().after(Duration::from_secs(30 * 86_400));
    assert_eq!(user.expires.as_millis() / 1000, month.as_millis() / 1000);
    refused(
        people.create(&wanted, None).await,
        Code::AlreadyExists,
        &["alice", "weft user rm"],
    );
    let proof = UserProof {
        identity: weft_pki::UserIdentity {
            cluster: fake.view().cluster().unwrap().id,
            name: user.name.clone(),
        },
        key: user.key,
    };
    let again = people.renew(&proof, &wanted.csr_der).await.unwrap();
    assert_eq!(digest(&again.certificate.unwrap()), user.key);
    let others = certificate_request(&key()).unwrap();
    refused(
        people.renew(&proof, &others).await,
        Code::InvalidArgument,
        &["another key", "alice"],
    );
    people.remove("alice").await.unwrap();
    refused(
        people.renew(&proof, &wanted.csr_der).await,
        Code::NotFound,
        &["alice"],
    );
    refused(
        people.remove("alice").await,
        Code::NotFound,
        &["weft user ls"],
    );
}

#[tokio::test]
async fn one_request_makes_one_user_and_each_answer_has_a_certificate() {
    let (fake, people) = house();
    let wanted = request("alice", wire::UserRole::Viewer, &key());
    let named = Some((CommandId::from_entropy(5), 6));
    let first = people.create(&wanted, named).await.unwrap();
    let again = people.create(&wanted, named).await.unwrap();
    assert_eq!(fake.view().users().count(), 1);
    let key_of = |made: wire::CreateUserResponse| digest(&made.certificate.unwrap());
    assert_eq!(key_of(first), key_of(again));
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused_with_the_field() {
    let (fake, people) = house();
    let good = request("alice", wire::UserRole::Operator, &key());
    let with = |change: &dyn Fn(&mut wire::CreateUserRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let long = "a".repeat(64);
    for (bad, parts) in [
        (with(&|r| r.name = String::new()), vec!["name"]),
        (
            with(&|r| r.name = "Alice/../x".to_owned()),
            vec!["name", "lower-case"],
        ),
        (with(&|r| r.name.clone_from(&long)), vec!["name"]),
        (with(&|r| r.role = 0), vec!["role"]),
        (with(&|r| r.role = 77), vec!["role", "77"]),
        (with(&|r| r.stack = "no stack".to_owned()), vec!["stack"]),
        (with(&|r| r.ttl_ms = 1), vec!["ttl", "5m", "366d"]),
        (with(&|r| r.ttl_ms = u64::MAX), vec!["ttl"]),
        (with(&|r| r.csr_der = vec![7; 40]), vec!["damaged"]),
        (with(&|r| r.csr_der = vec![7; 40_000]), vec!["40000 bytes"]),
        (
            with(&|r| {
                r.role = wire::UserRole::Admin.into();
                r.stack = "shop".to_owned();
            }),
            vec!["admin cannot be limited"],
        ),
    ] {
        refused(
            people.create(&bad, None).await,
            Code::InvalidArgument,
            &parts,
        );
    }
    assert_eq!(fake.view().users().count(), 0);
}

#[tokio::test]
async fn rights_change_as_asked_and_never_to_an_admin_of_a_stack() {
    let (_, people) = house();
    let mut wanted = request("carol", wire::UserRole::Operator, &key());
    wanted.stack = "shop".to_owned();
    people.create(&wanted, None).await.unwrap();
    let update = |role: Option<wire::UserRole>, stack: Option<&str>| wire::UpdateUserRequest {
        target: "carol".to_owned(),
        role: role.map(Into::into),
        stack: stack.map(str::to_owned),
        ..wire::UpdateUserRequest::default()
    };
    let admin = Some(wire::UserRole::Admin);
    refused(
        people.update(&update(admin, None), None).await,
        Code::InvalidArgument,
        &["limited"],
    );
    let done = people.update(&update(admin, Some("")), None).await.unwrap();
    let user = User::try_from(done.user.unwrap()).unwrap();
    assert_eq!((user.role, user.stack), (UserRole::Admin, None));
}

#[tokio::test]
async fn users_are_bounded() {
    let (fake, people) = house();
    let user = |n: usize| User {
        meta: weft_proto::object::Meta::default(),
        id: UserId::from_entropy(n.try_into().unwrap()),
        name: format!("u{n}").parse().unwrap(),
        role: UserRole::Viewer,
        stack: None,
        certificate_ttl: Duration::from_secs(3600),
        key: KeyDigest::from_bytes([1; 32]),
        expires: Stopped.timestamp(),
    };
    fake.write((0..MAX_USERS).map(|n| Change::create(user(n))).collect());
    let one_more = request("alice", wire::UserRole::Viewer, &key());
    refused(
        people.create(&one_more, None).await,
        Code::ResourceExhausted,
        &["1000 users"],
    );
}
