//! What certificates say, whatever was asked for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod common;

use std::time::Duration;

use common::DAY;
use common::credentials;
use common::identity;
use common::now;
use common::root;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::CredentialsError;
use weft_pki::IssueError;
use weft_pki::NodeIdentity;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::RootDigest;
use weft_pki::RootError;
use weft_pki::certificate_request;
use weft_pki::issue;
use weft_proto::Role;
use x509_parser::parse_x509_certificate;

#[test]
fn a_chain_is_the_leaf_and_then_the_root() {
    let root = root(1);
    let request = certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    let identity = identity(&root, Role::Manager, 5);
    let chain = issue(&root, &request, &identity, now(), DAY).unwrap();
    let [leaf, last] = chain.certificates() else {
        panic!("two certificates");
    };
    assert_eq!(NodeIdentity::from_certificate(leaf), Ok(identity));
    assert_eq!(RootDigest::of(last), root.cert().digest());
    let again = CertificateChain::from_pem(&chain.to_pem()).unwrap();
    assert_eq!(again, chain);
}

#[test]
fn a_joining_node_takes_only_the_pinned_root_out_of_its_chain() {
    let (ours, theirs) = (root(1), root(1));
    let joined = credentials(&theirs, Role::Worker, 5);
    let pinned = RootCert::pinned(joined.chain(), theirs.cert().digest()).unwrap();
    assert_eq!(&pinned, theirs.cert());
    assert!(matches!(
        RootCert::pinned(joined.chain(), ours.cert().digest()),
        Err(RootError::NotPinned)
    ));
}

#[test]
fn a_request_for_more_gets_none_of_it() {
    let root = root(1);
    let key = KeyPair::generate().unwrap();
    let mut greedy =
        CertificateParams::new(vec!["manager.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let wanted = identity(&root, Role::Manager, 1).uri();
    greedy
        .subject_alt_names
        .push(rcgen::SanType::URI(wanted.try_into().unwrap()));
    let request = greedy.serialize_request(&key).unwrap();
    let granted = identity(&root, Role::Worker, 2);
    let chain = issue(&root, request.der(), &granted, now(), DAY).unwrap();

    let leaf = &chain.certificates()[0];
    assert_eq!(NodeIdentity::from_certificate(leaf), Ok(granted));
    let (_, leaf) = parse_x509_certificate(leaf).unwrap();
    assert!(!leaf.is_ca());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.value.digital_signature() && !usage.value.key_cert_sign());
    let usage = leaf.extended_key_usage().unwrap().unwrap();
    assert!(usage.value.server_auth && usage.value.client_auth && !usage.value.any);
    assert!(!leaf.subject().to_string().contains("rcgen"));
}

#[test]
fn a_certificate_begins_a_little_early_and_ends_after_its_lifetime() {
    let root = root(1);
    let request = certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    let identity = identity(&root, Role::Worker, 5);
    for (ttl, early) in [(DAY, 300), (Duration::from_secs(60), 15)] {
        let key = PrivateKey::generate().unwrap();
        let request = certificate_request(&key).unwrap();
        let chain = issue(&root, &request, &identity, now(), ttl).unwrap();
        let made = Credentials::new(key, chain, root.cert().clone()).unwrap();
        let span = made.not_after().duration_since(made.not_before()).unwrap();
        assert_eq!(span, ttl + Duration::from_secs(early));
    }
    // Never longer than the root.
    let chain = issue(&root, &request, &identity, now(), 10_000 * DAY).unwrap();
    let (_, leaf) = parse_x509_certificate(&chain.certificates()[0]).unwrap();
    let (_, last) = parse_x509_certificate(&chain.certificates()[1]).unwrap();
    assert_eq!(leaf.validity().not_after, last.validity().not_after);
}

#[test]
fn two_certificates_for_one_request_have_different_serial_numbers() {
    let root = root(1);
    let request = certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    let identity = identity(&root, Role::Worker, 5);
    let serial = || {
        let chain = issue(&root, &request, &identity, now(), DAY).unwrap();
        let (_, leaf) = parse_x509_certificate(&chain.certificates()[0]).unwrap();
        leaf.raw_serial().to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn damaged_foreign_and_oversized_requests_are_refused() {
    let root = root(1);
    let who = identity(&root, Role::Worker, 5);
    let good = certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    let key_of = |chain: &CertificateChain| {
        let (_, leaf) = parse_x509_certificate(&chain.certificates()[0]).unwrap();
        leaf.public_key().subject_public_key.data.to_vec()
    };
    let honest = key_of(&issue(&root, &good, &who, now(), DAY).unwrap());
    let mut refused = 0;
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        match issue(&root, &damaged, &who, now(), DAY) {
            // Some bytes around the signature have no meaning; the key is the signed one.
            Ok(chain) => assert_eq!(key_of(&chain), honest, "{at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > good.len() - 5, "{refused} of {}", good.len());
    assert!(matches!(
        issue(&root, &vec![0; 1 << 20], &who, now(), DAY),
        Err(IssueError::RequestTooLong { .. })
    ));
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let request = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        assert!(matches!(
            issue(&root, request.der(), &who, now(), DAY),
            Err(IssueError::UnsupportedKey)
        ));
    }
}

#[test]
fn a_root_issues_only_for_its_own_cluster() {
    let identity = identity(&root(2), Role::Worker, 5);
    let request = certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    assert!(matches!(
        issue(&root(1), &request, &identity, now(), DAY),
        Err(IssueError::OtherCluster { .. })
    ));
}

#[test]
fn a_lifetime_of_nothing_is_refused() {
    let root = root(1);
    let identity = identity(&root, Role::Worker, 5);
    let request = certificate_request(&PrivateKey::generate().unwrap()).unwrap();
    assert!(matches!(
        issue(&root, &request, &identity, now(), Duration::ZERO),
        Err(IssueError::Dates)
    ));
}

#[test]
fn credentials_that_do_not_fit_together_are_refused() {
    let (one, two) = (root(1), root(1));
    let good = credentials(&one, Role::Worker, 5);
    let parts = || (good.key().clone(), good.chain().clone());
    let (_, chain) = parts();
    assert!(matches!(
        Credentials::new(PrivateKey::generate().unwrap(), chain, one.cert().clone()),
        Err(CredentialsError::KeyMismatch(_))
    ));
    let (key, chain) = parts();
    assert!(matches!(
        Credentials::new(key, chain, two.cert().clone()),
        Err(CredentialsError::OtherRoot(_))
    ));
    let (key, chain) = parts();
    assert!(matches!(
        Credentials::new(key, chain, root(2).cert().clone()),
        Err(CredentialsError::OtherCluster)
    ));
}

#[test]
fn a_node_certificate_is_no_root() {
    let node = credentials(&root(1), Role::Manager, 5);
    assert!(RootCert::from_pem(&node.chain().to_pem()).is_err());
}
