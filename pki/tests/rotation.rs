//! A change of root: who accepts whom at every stage, and which steps lead where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod common;

use common::DAY;
use common::Node as Listener;
use common::call;
use common::live;
use common::now;
use common::root;
use proptest::prelude::*;
use weft_pki::Authority;
use weft_pki::Credentials;
use weft_pki::Due;
use weft_pki::Expect;
use weft_pki::JoinToken;
use weft_pki::NodeIdentity;
use weft_pki::Policy;
use weft_pki::PrivateKey;
use weft_pki::Root;
use weft_pki::RootDigest;
use weft_pki::TokenSecret;
use weft_pki::channel;
use weft_pki::enrol_channel;
use weft_pki::proof::verify_proof;
use weft_pki::rotation;
use weft_pki::rotation::Reason;
use weft_pki::rotation::RotationError;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::object::Cluster;
use weft_proto::object::Node;
use weft_proto::object::RotationStage;
use weft_proto::wire;

fn cluster_of(root: &Root) -> Cluster {
    let id = root.cert().cluster();
    let token = |role| {
        let secret = TokenSecret::random().unwrap();
        let token = JoinToken::new(role, id, root.cert().digest(), secret);
        token.reveal().as_str().to_owned()
    };
    Cluster::try_from(wire::Cluster {
        id: id.to_string(),
        root_certificate_der: root.cert().der().to_vec(),
        root_key_pem: root.key_pem().as_str().to_owned(),
        worker_token: token(Role::Worker),
        manager_token: token(Role::Manager),
        settings: Some((&weft_proto::defaults::settings()).into()),
        ..wire::Cluster::default()
    })
    .unwrap()
}

/// What the cluster's authority makes of node `n` at this stage.
fn issued(cluster: &Cluster, role: Role, n: u128) -> Credentials {
    let authority = Authority::of(cluster).unwrap();
    let identity = NodeIdentity {
        cluster: cluster.id,
        role,
        node: NodeId::from_entropy(n),
    };
    let key = PrivateKey::generate().unwrap();
    let request = weft_pki::certificate_request(&key).unwrap();
    let chain = authority.issue(&request, &identity, now(), DAY).unwrap();
    Credentials::new(key, chain, authority.trust().clone()).unwrap()
}

fn node(n: u128, holds: Option<&Credentials>) -> Node {
    Node::try_from(wire::Node {
        id: NodeId::from_entropy(n).to_string(),
        spec: Some(wire::NodeSpec {
            role: wire::NodeRole::Worker.into(),
            ..wire::NodeSpec::default()
        }),
        description: Some(wire::NodeDescription::default()),
        status: Some(wire::NodeStatus {
            state: wire::NodeState::Ready.into(),
            ..wire::NodeStatus::default()
        }),
        number: 1,
        data_addr: "192.0.2.1".to_owned(),
        certificate: holds.map(|holds| (&holds.summary()).into()),
        ..wire::Node::default()
    })
    .unwrap()
}

fn stage(cluster: &Cluster) -> Option<RotationStage> {
    cluster.rotation.as_ref().map(|rotation| rotation.stage)
}

#[test]
fn a_rotation_goes_on_only_when_every_node_is_ready_and_ends_with_the_new_root_alone() {
    let (old, new) = (root(1), root(1));
    let cluster = cluster_of(&old);
    let before = [
        issued(&cluster, Role::Worker, 1),
        issued(&cluster, Role::Worker, 2),
    ];
    let spreading = rotation::begin(&cluster, &new, now()).unwrap();
    assert_eq!(stage(&spreading), Some(RotationStage::Spreading));

    let both = Authority::of(&spreading).unwrap().trust().clone();
    let told = before
        .each_ref()
        .map(|one| one.with_trust(both.clone()).unwrap());
    let mut nodes = [
        node(1, Some(&told[0])),
        node(2, Some(&before[1])),
        node(3, None),
    ];
    let missing: Vec<_> = rotation::waiting(&spreading, &nodes)
        .into_iter()
        .map(|waiting| (waiting.node.id, waiting.reason))
        .collect();
    let expected = [
        (nodes[1].id, Reason::Distrusts),
        (nodes[2].id, Reason::NotHeard),
    ];
    assert_eq!(missing, expected);
    assert_eq!(rotation::step(&spreading, &nodes), None);
    nodes[1] = node(2, Some(&told[1]));
    assert_eq!(
        rotation::step(&spreading, &nodes),
        None,
        "one was never heard"
    );
    let nodes = &mut nodes[..2];

    let issuing = rotation::step(&spreading, &*nodes).unwrap();
    assert_eq!(stage(&issuing), Some(RotationStage::Issuing));
    assert_eq!(
        rotation::step(&issuing, &*nodes),
        None,
        "nobody has a new certificate"
    );
    nodes[0] = node(1, Some(&issued(&issuing, Role::Worker, 1)));
    let waiting = rotation::waiting(&issuing, &*nodes);
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].reason, Reason::OldCertificate);
    assert_eq!(rotation::step(&issuing, &*nodes), None);
    nodes[1] = node(2, Some(&issued(&issuing, Role::Worker, 2)));

    let done = rotation::step(&issuing, &*nodes).unwrap();
    assert_eq!(done.rotation, None);
    assert_eq!(done.root_certificate, new.cert().der().to_vec());
    assert_eq!(done.root_key, *new.key_pem());
    let digests: Vec<_> = Authority::of(&done).unwrap().trust().fingerprints();
    assert_eq!(digests, [new.cert().digest().into()]);
    for (was, is) in [
        (&cluster.worker_token, &done.worker_token),
        (&cluster.manager_token, &done.manager_token),
    ] {
        let (was, is) = (
            JoinToken::parse(was).unwrap(),
            JoinToken::parse(is).unwrap(),
        );
        assert_eq!(is.root(), new.cert().digest());
        assert!(was.verifier().verify(is.secret()), "the secret is the same");
    }
    assert_eq!(rotation::step(&done, &*nodes), None);
}

#[test]
fn an_aborted_rotation_returns_to_the_old_root_when_no_node_needs_the_new_one() {
    let (old, new) = (root(1), root(1));
    let cluster = cluster_of(&old);
    let spreading = rotation::begin(&cluster, &new, now()).unwrap();
    assert_eq!(
        rotation::abort(&spreading).unwrap(),
        cluster,
        "nothing was issued"
    );

    let ready = [node(1, Some(&issued(&spreading, Role::Worker, 1)))];
    let issuing = rotation::step(&spreading, &ready).unwrap();
    let returning = rotation::abort(&issuing).unwrap();
    assert_eq!(stage(&returning), Some(RotationStage::Returning));
    assert_eq!(rotation::abort(&returning).unwrap(), returning);
    let renewed = [node(1, Some(&issued(&issuing, Role::Worker, 1)))];
    assert_eq!(rotation::step(&returning, &renewed), None);
    assert_eq!(
        rotation::waiting(&returning, &renewed)[0].reason,
        Reason::NewCertificate
    );
    assert_eq!(rotation::step(&returning, &ready).unwrap(), cluster);
    assert!(matches!(
        rotation::abort(&cluster),
        Err(RotationError::NotUnderWay)
    ));
}

/// Every pair of what a node can hold, by the stage in which it got it, while the two stages are
/// next to each other.
#[tokio::test]
async fn neighbouring_stages_accept_each_other_in_both_directions() {
    let (old, new) = (root(1), root(1));
    let none = cluster_of(&old);
    let spreading = rotation::begin(&none, &new, now()).unwrap();
    let issuing = rotation::step(&spreading, &[]).unwrap();
    let done = rotation::step(&issuing, &[]).unwrap();
    let returning = rotation::abort(&issuing).unwrap();
    for (one, other) in [
        (&none, &spreading),
        (&spreading, &issuing),
        (&issuing, &done),
        (&issuing, &returning),
        (&returning, &none),
        // One that slept through a stage: the vouchers lead it on.
        (&none, &issuing),
    ] {
        for (listens, calls) in [(one, other), (other, one)] {
            let manager = Listener::start(issued(listens, Role::Manager, 10)).await;
            let caller = live(issued(calls, Role::Worker, 20));
            let channel = channel(manager.addr, caller, Expect::any_manager());
            let who = call(&channel).await.unwrap_or_else(|status| {
                panic!(
                    "{:?} called by {:?}: {status}",
                    stage(listens),
                    stage(calls)
                )
            });
            assert!(who.contains("worker"), "{who}");
        }
    }
}

#[tokio::test]
async fn tokens_of_both_roots_find_a_manager_while_the_new_root_issues() {
    let (old, new) = (root(1), root(1));
    let spreading = rotation::begin(&cluster_of(&old), &new, now()).unwrap();
    let issuing = rotation::step(&spreading, &[]).unwrap();
    let manager = Listener::start(issued(&issuing, Role::Manager, 10)).await;
    for pinned in [&old, &new] {
        let joining = enrol_channel(manager.addr, pinned.cert().digest());
        assert_eq!(call(&joining).await.unwrap(), "nobody");
        let chain = issued(&issuing, Role::Worker, 20).chain().clone();
        let found = weft_pki::RootCert::pinned(&chain, pinned.cert().digest()).unwrap();
        assert_eq!(&found, pinned.cert());
    }
    let stranger = enrol_channel(manager.addr, RootDigest::from_bytes([7; 32]));
    call(&stranger).await.unwrap_err();
}

#[test]
fn a_root_that_would_not_work_is_refused_before_anything_is_begun() {
    let cluster = cluster_of(&root(1));
    let refused = |new: &Root| {
        rotation::begin(&cluster, new, now())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&root(2)).contains("must be URI:spiffe://"));
    let ended = Root::create(cluster.id, now() - 20 * 365 * DAY).unwrap();
    assert!(refused(&ended).contains("not valid now"));
    let begun = rotation::begin(&cluster, &root(1), now()).unwrap();
    let again = rotation::begin(&begun, &root(1), now()).unwrap_err();
    assert!(matches!(again, RotationError::UnderWay));
    let own = Root::from_pem(
        &weft_pki::Trust::from_der([cluster.root_certificate.clone()])
            .unwrap()
            .to_pem(),
        &cluster.root_key,
    );
    let same = rotation::begin(&cluster, &own.unwrap(), now()).unwrap_err();
    assert!(matches!(same, RotationError::SameRoot), "{same}");
}

#[test]
fn a_root_of_anothers_making_takes_over_when_it_names_the_cluster() {
    let cluster = cluster_of(&root(1));
    let key = rcgen_root(&cluster, |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = rcgen::DnValue::PrintableString("Example Corp".try_into().unwrap());
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, name);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Root for Weft");
    });
    let begun = rotation::begin(&cluster, &key, now()).unwrap();
    let issuing = rotation::step(&begun, &[]).unwrap();
    assert_eq!(
        issued(&issuing, Role::Worker, 1).issuer(),
        key.cert().digest().into()
    );
    let no_ca = rcgen_root(&cluster, |params| params.is_ca = rcgen::IsCa::NoCa);
    let refused = rotation::begin(&cluster, &no_ca, now()).unwrap_err();
    assert!(
        matches!(refused, RotationError::NotAnAuthority),
        "{refused}"
    );
}

fn rcgen_root(cluster: &Cluster, edit: impl Fn(&mut rcgen::CertificateParams)) -> Root {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let name = format!("spiffe://{}", cluster.id);
    params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
    edit(&mut params);
    let certificate = params.self_signed(&pair).unwrap();
    Root::from_pem(&certificate.pem(), &pair.serialize_pem()).unwrap()
}

#[test]
fn an_expired_node_proves_who_it_was_and_nobody_else_does() {
    let cluster = cluster_of(&root(1));
    let trust = Authority::of(&cluster).unwrap().trust().clone();
    let key = PrivateKey::generate().unwrap();
    let request = weft_pki::certificate_request(&key).unwrap();
    let expired = {
        let root = Root::from_pem(&trust.to_pem(), &cluster.root_key).unwrap();
        common::credentials_at(&root, Role::Worker, 20, now() - 2 * DAY)
    };
    let proof = expired.prove(&request).unwrap();
    let proven = verify_proof(&trust, expired.chain(), &request, &proof).unwrap();
    assert_eq!(proven, expired.identity());

    let other = weft_pki::certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    verify_proof(&trust, expired.chain(), &other, &proof).unwrap_err();
    let thief = issued(&cluster, Role::Worker, 21).prove(&request).unwrap();
    verify_proof(&trust, expired.chain(), &request, &thief).unwrap_err();
    let elsewhere = root(1).cert().clone().into();
    verify_proof(&elsewhere, expired.chain(), &request, &proof).unwrap_err();
}

fn told(cluster: &Cluster) -> Policy {
    Policy::read(weft_pki::policy(cluster)).unwrap()
}

#[test]
fn a_node_does_what_it_was_told_of_its_certificate() {
    let (old, new) = (root(1), root(1));
    let mut none = cluster_of(&old);
    none.settings.certificate_ttl = DAY;
    let spreading = rotation::begin(&none, &new, now()).unwrap();
    let issuing = rotation::step(&spreading, &[]).unwrap();
    let done = rotation::step(&issuing, &[]).unwrap();
    let due = |held: &Credentials, cluster: &Cluster| {
        weft_pki::due(held, Some(&told(cluster)), now(), 0.5)
    };
    let held = issued(&none, Role::Worker, 1);
    assert!(matches!(due(&held, &none), Due::Later(_)));
    let Due::Adopt(both) = due(&held, &spreading) else {
        panic!("the certificate may stay");
    };
    assert_eq!(both.trust().fingerprints().len(), 2);
    assert_eq!(both.issuer(), held.issuer());
    assert!(matches!(due(&both, &spreading), Due::Later(_)));
    assert!(matches!(due(&both, &issuing), Due::Told));
    let renewed = issued(&issuing, Role::Worker, 1);
    assert!(matches!(due(&renewed, &issuing), Due::Later(_)));
    let Due::Adopt(last) = due(&renewed, &done) else {
        panic!("the certificate may stay");
    };
    assert_eq!(last.trust().fingerprints(), [new.cert().digest().into()]);
    // Of a root that nobody is to trust any more: only together with another certificate.
    assert!(matches!(due(&held, &done), Due::Told));

    let mut shorter = none.clone();
    shorter.settings.certificate_ttl = DAY / 24;
    assert!(matches!(due(&held, &shorter), Due::Told));
    let mut longer = none;
    longer.settings.certificate_ttl = DAY * 2;
    assert!(matches!(due(&held, &longer), Due::Later(_)));
    for ttl in [2_u64, 7, 60, 3600] {
        longer.settings.certificate_ttl = std::time::Duration::from_secs(ttl);
        let authority = Authority::of(&longer).unwrap();
        let key = PrivateKey::generate().unwrap();
        let request = weft_pki::certificate_request(&key).unwrap();
        let ttl = longer.settings.certificate_ttl;
        let chain = authority
            .issue(&request, &held.identity(), now(), ttl)
            .unwrap();
        let fresh = Credentials::new(key, chain, authority.trust().clone()).unwrap();
        assert!(matches!(due(&fresh, &longer), Due::Later(_)), "{ttl:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Nodes do as they are told in any order, join and leave; whoever leads takes a step, or another
    /// one does, or an operator changes their mind. Nobody is ever left without a common root with
    /// anybody else, and when nobody is away it ends.
    #[test]
    fn no_order_of_events_strands_a_node(events in proptest::collection::vec(0..9_u8, 1..60)) {
        let (old, new) = (root(1), root(1));
        let mut cluster = rotation::begin(&cluster_of(&old), &new, now()).unwrap();
        let mut held: Vec<Credentials> = (0..3).map(|n| issued(&cluster_of(&old), Role::Worker, n)).collect();
        let nodes = |held: &[Credentials]| -> Vec<Node> {
            (0_u128..).zip(held).map(|(n, holds)| node(n, Some(holds))).collect()
        };
        let check = |held: &[Credentials]| {
            for one in held {
                for other in held {
                    let fits = one.with_trust(other.trust().clone()).is_ok();
                    assert!(fits, "{one:?} is not accepted by {other:?}");
                }
            }
        };
        for event in events {
            let authority = Authority::of(&cluster).unwrap();
            match event {
                0..=2 => {
                    let n = usize::from(event);
                    // Told of the trust: taken over if the own certificate is of it, else renewed.
                    held[n] = match held[n].with_trust(authority.trust().clone()) {
                        Ok(told) => told,
                        Err(_) => issued(&cluster, Role::Worker, n as u128),
                    };
                }
                3..=5 => {
                    let n = usize::from(event) - 3;
                    held[n] = issued(&cluster, Role::Worker, n as u128);
                }
                6 | 7 => {
                    cluster = rotation::step(&cluster, &nodes(&held)).unwrap_or(cluster);
                }
                _ => cluster = rotation::abort(&cluster).unwrap_or(cluster),
            }
            check(&held);
        }
        for _ in 0..4 {
            for (n, holds) in (0_u128..).zip(&mut held) {
                *holds = issued(&cluster, Role::Worker, n);
            }
            check(&held);
            cluster = rotation::step(&cluster, &nodes(&held)).unwrap_or(cluster);
        }
        prop_assert_eq!(cluster.rotation, None);
    }
}
