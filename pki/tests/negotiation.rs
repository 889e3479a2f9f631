//! What two nodes agree on: the protocol and the key exchange.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod common;

use common::Node;
use common::credentials;
use common::raw::raw_handshake;
use common::raw::raw_handshake_with;
use common::root;
use rustls::NamedGroup;
use rustls::ProtocolVersion;
use rustls::crypto::aws_lc_rs;
use rustls::version::TLS13;
use weft_proto::Role;

#[tokio::test]
async fn two_nodes_speak_tls_1_3_with_a_hybrid_post_quantum_key_exchange() {
    let root = root(1);
    let node = Node::start(credentials(&root, Role::Manager, 10)).await;
    let own = credentials(&root, Role::Worker, 20);
    let tls = raw_handshake(&node, Some(&own), &[&TLS13]).await.unwrap();
    let (_, session) = tls.get_ref();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn a_peer_without_the_hybrid_exchange_is_served_with_a_classical_one() {
    let root = root(1);
    let node = Node::start(credentials(&root, Role::Manager, 10)).await;
    let mut old = aws_lc_rs::default_provider();
    old.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let own = credentials(&root, Role::Worker, 20);
    let tls = raw_handshake_with(old, &node, Some(&own), &[&TLS13]).await;
    let tls = tls.unwrap();
    let group = tls.get_ref().1.negotiated_key_exchange_group();
    assert_eq!(group.unwrap().name(), NamedGroup::X25519);
}
