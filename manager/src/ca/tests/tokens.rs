//! Tokens that were made for a purpose, and those that never count.

use crate::ca::admit::admit;
use crate::ca::admit::judge;
use crate::ca::tests::House;
use crate::ca::tests::house;
use crate::ca::tests::now;
use crate::ca::tests::refused;
use std::time::Duration;
use tonic::Code;
use weft_pki::JoinToken;
use weft_pki::TokenSecret;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::IssuedToken;
use weft_proto::object::Meta;
use weft_proto::spec::Labels;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Makes a token and returns its text; `change` says what it is good for.
pub(super) fn make(house: &House, role: Role, change: impl FnOnce(&mut IssuedToken)) -> String {
    let standing = JoinToken::parse(&house.token(role)).unwrap();
    let secret = TokenSecret::random().unwrap();
    let token = JoinToken::new(role, standing.cluster(), standing.root(), secret);
    let mut issued = IssuedToken {
        meta: Meta::default(),
        id: token.secret().id(),
        role,
        sha256: *token.verifier().sha256(),
        name: String::new(),
        expires: None,
        uses_left: None,
        used: 0,
        labels: Labels::new(),
        approve: false,
        pending: Vec::new(),
    };
    change(&mut issued);
    house.fake.write(vec![Change::create(issued)]);
    token.reveal().to_string()
}

pub(super) fn stored(house: &House, token: &str) -> IssuedToken {
    let id = JoinToken::parse(token).unwrap().secret().id();
    IssuedToken::clone(house.fake.view().join_token(id).unwrap())
}

pub(super) fn request(house: &House, n: u16, token: &str) -> wire::IssueRequest {
    let role = JoinToken::parse(token).unwrap().role();
    wire::IssueRequest {
        token: token.to_owned(),
        ..house.request(n, role)
    }
}

fn later(after: Duration) -> Timestamp {
    Timestamp::from(now()).after(after)
}

#[tokio::test]
async fn a_use_is_taken_with_the_enrolment_and_the_last_one_is_the_last() {
    let house = house();
    let token = make(&house, Role::Worker, |token| token.uses_left = Some(2));
    for n in [2, 3] {
        house.issue(request(&house, n, &token)).await.unwrap();
    }
    let kept = stored(&house, &token);
    assert_eq!((kept.uses_left, kept.used), (Some(0), 2));
    let third = house.issue(request(&house, 4, &token)).await;
    refused(
        third,
        Code::PermissionDenied,
        &["used up", "2 nodes joined"],
    );
    assert_eq!(house.fake.view().nodes().count(), 3);
}

#[tokio::test]
async fn of_two_joiners_at_two_managers_one_gets_the_last_use() {
    let house = house();
    let token = make(&house, Role::Manager, |token| token.uses_left = Some(1));
    // The other manager's transaction comes between this one's decision and its proposal.
    let mut taken = stored(&house, &token);
    (taken.uses_left, taken.used) = (Some(0), 1);
    house.fake.rival(vec![Change::update(taken)]);
    let lost = house.issue(request(&house, 2, &token)).await;
    refused(lost, Code::PermissionDenied, &["used up"]);
    assert_eq!(house.fake.view().nodes().count(), 1);
    assert_eq!(house.cluster().next_raft_id, 2, "nothing of it was written");
}

#[tokio::test]
async fn a_failed_enrolment_takes_no_use() {
    let house = house();
    let token = make(&house, Role::Worker, |token| token.uses_left = Some(1));
    let mut bad = request(&house, 2, &token);
    bad.csr_der = b"hello".to_vec();
    refused(house.issue(bad).await, Code::InvalidArgument, &["damaged"]);
    let mut bad = request(&house, 2, &token);
    bad.data_addr = "0.0.0.0".to_owned();
    refused(house.issue(bad).await, Code::InvalidArgument, &[]);
    assert_eq!(stored(&house, &token).uses_left, Some(1));
    assert!(house.issue(request(&house, 2, &token)).await.is_ok());
}

#[tokio::test]
async fn an_expired_or_removed_token_admits_nobody() {
    let house = house();
    let hour = Duration::from_secs(3600);
    let good = make(&house, Role::Worker, |t| t.expires = Some(later(hour)));
    assert!(house.issue(request(&house, 2, &good)).await.is_ok());
    let ends_now = make(&house, Role::Worker, |t| {
        t.expires = Some(later(Duration::ZERO))
    });
    let expired = house.issue(request(&house, 3, &ends_now)).await;
    refused(expired, Code::PermissionDenied, &["expired", "create"]);
    // Removed between the decision and the proposal.
    house
        .fake
        .rival(vec![Change::remove(stored(&house, &good))]);
    let removed = house.issue(request(&house, 4, &good)).await;
    refused(removed, Code::PermissionDenied, &["not valid"]);
    assert_eq!(house.fake.view().nodes().count(), 2);
}

#[tokio::test]
async fn a_standing_token_that_is_rotated_meanwhile_admits_no_worker() {
    let house = house();
    let request = house.request(2, Role::Worker);
    let mut cluster = house.cluster();
    cluster
        .worker_token
        .clone_from(&crate::ca::tests::house().token(Role::Worker));
    let other = JoinToken::parse(&house.token(Role::Worker)).unwrap();
    let fresh = TokenSecret::random().unwrap();
    let fresh = JoinToken::new(Role::Worker, other.cluster(), other.root(), fresh);
    cluster.worker_token = fresh.reveal().to_string();
    house.fake.rival(vec![Change::update(cluster)]);
    refused(
        house.issue(request).await,
        Code::PermissionDenied,
        &["rotated"],
    );
    assert_eq!(house.fake.view().nodes().count(), 1);
}

#[tokio::test]
async fn a_node_gets_the_labels_and_the_role_of_its_token_and_no_others() {
    let house = house();
    let token = make(&house, Role::Worker, |token| {
        token.labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
    });
    let answer = house.issue(request(&house, 2, &token)).await.unwrap();
    assert_eq!(answer.role(), wire::NodeRole::Worker);
    let view = house.fake.view();
    let node = view.node(answer.node_id.parse().unwrap()).unwrap();
    assert_eq!(node.spec.labels, stored(&house, &token).labels);
    // The worker's secret in a token that says manager, with a good checksum.
    let token = JoinToken::parse(&token).unwrap();
    let forged = JoinToken::new(
        Role::Manager,
        token.cluster(),
        token.root(),
        token.secret().clone(),
    );
    let forged = house.issue(request(&house, 3, &forged.reveal())).await;
    refused(forged, Code::PermissionDenied, &["not valid"]);
}

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }
}

/// A million tokens that must not count: mutated, cut off, of another role, cluster or root, with an
/// invented secret and a good checksum, expired, used up, removed. None is accepted.
#[test]
fn of_a_million_bad_tokens_none_is_accepted() {
    const ALL: usize = 1_000_000;
    let (house, mut dice) = (house(), Dice(0x5eed));
    let cluster = house.cluster();
    let ended = [
        make(&house, Role::Worker, |t| {
            t.expires = Some(later(Duration::ZERO))
        }),
        make(&house, Role::Manager, |t| t.uses_left = Some(0)),
    ];
    let removed = make(&house, Role::Worker, |_| {});
    house
        .fake
        .write(vec![Change::remove(stored(&house, &removed))]);
    let good = [
        cluster.worker_token.clone(),
        cluster.manager_token.clone(),
        make(&house, Role::Worker, |_| {}),
        make(&house, Role::Manager, |t| t.uses_left = Some(1)),
    ];
    let state = house.fake.view();
    let at = Timestamp::from(now());
    for text in &good {
        let token = JoinToken::parse(text).unwrap();
        let admitted = admit(&state, &cluster, &token, at);
        assert!(
            admitted.is_ok(),
            "the tokens that are changed are good ones"
        );
    }
    let [workers, managers] =
        [&good[0], &good[1]].map(|standing| JoinToken::parse(standing).unwrap());
    let admits = |token: &JoinToken| {
        let standing = match token.role() {
            Role::Worker => &workers,
            Role::Manager => &managers,
        };
        judge(&state, standing, token, at).is_ok()
    };
    let ended = ended.map(|text| JoinToken::parse(&text).unwrap());
    let removed = JoinToken::parse(&removed).unwrap();
    let parsed: Vec<JoinToken> = good.iter().map(|t| JoinToken::parse(t).unwrap()).collect();
    let mut judged = [0_usize; 6];
    for n in 0..ALL {
        let (text, token) = (&good[n % good.len()], &parsed[n % good.len()]);
        let kind = dice.below(judged.len());
        judged[kind] += 1;
        let other_role = match token.role() {
            Role::Worker => Role::Manager,
            Role::Manager => Role::Worker,
        };
        let parts = (token.cluster(), token.root(), token.secret());
        let accepted = match kind {
            // One to three characters changed.
            0 => {
                let mut bytes = text.clone().into_bytes();
                for _ in 0..=dice.below(3) {
                    let at = dice.below(bytes.len());
                    bytes[at] = b"0123456789abcdefghijklmnopqrstuvwxyz_"[dice.below(37)];
                }
                let bad = String::from_utf8(bytes).unwrap();
                // A change may put the same characters there again.
                bad != *text && JoinToken::parse(&bad).is_ok_and(|token| admits(&token))
            }
            1 => JoinToken::parse(&text[..dice.below(text.len())]).is_ok(),
            // The rest are whole, with good checksums. Secrets: invented, or one bit of a good one.
            2 => {
                let mut secret: [u8; 18] = token.secret().as_bytes().try_into().unwrap();
                secret[dice.below(18)] ^= 1 << dice.below(8);
                let secret = TokenSecret::from_bytes(&secret).unwrap();
                admits(&JoinToken::new(token.role(), parts.0, parts.1, secret))
            }
            3 => admits(&JoinToken::new(
                other_role,
                parts.0,
                parts.1,
                parts.2.clone(),
            )),
            4 => {
                let mut root = *token.root().as_bytes();
                root[dice.below(32)] ^= 1 << dice.below(8);
                let root = weft_pki::RootDigest::from_bytes(root);
                admits(&JoinToken::new(
                    token.role(),
                    parts.0,
                    root,
                    parts.2.clone(),
                ))
            }
            _ => match dice.below(3) {
                0 => admits(&ended[0]),
                1 => admits(&ended[1]),
                _ => admits(&removed),
            },
        };
        assert!(!accepted, "accepted a token of kind {kind}");
    }
    println!("{ALL} bad tokens judged, by kind: {judged:?}; none accepted");
    assert!(judged.iter().all(|count| *count > ALL / 10));
}
