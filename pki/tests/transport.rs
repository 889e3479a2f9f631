//! Connections over loopback, with real certificates on both sides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod common;

use std::time::Duration;

use common::DAY;
use common::Node;
use common::Wire;
use common::call;
use common::credentials;
use common::credentials_at;
use common::identity;
use common::live;
use common::now;
use common::reason;
use common::root;
use weft_pki::ConnectError;
use weft_pki::Expect;
use weft_pki::Refusal;
use weft_pki::RootDigest;
use weft_pki::channel;
use weft_pki::connect_error;
use weft_pki::enrol_channel;
use weft_proto::NodeId;
use weft_proto::Role;

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let worker = live(credentials(&root, Role::Worker, 20));
    let exact = Expect::manager(NodeId::from_entropy(10));
    for expect in [Expect::any_manager(), exact] {
        let channel = channel(manager.addr, worker.clone(), expect);
        let caller = call(&channel).await.unwrap();
        assert_eq!(caller, identity(&root, Role::Worker, 20).uri());
    }
}

#[tokio::test]
async fn a_joining_node_is_nobody_but_knows_whom_it_talks_to() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let channel = enrol_channel(manager.addr, root.cert().digest());
    assert_eq!(call(&channel).await.unwrap(), "nobody");
}

#[tokio::test]
async fn a_joining_node_refuses_a_server_with_another_root() {
    let ours = root(1);
    let theirs = root(1);
    let manager = Node::start(credentials(&theirs, Role::Manager, 10)).await;
    let status = call(&enrol_channel(manager.addr, ours.cert().digest()))
        .await
        .unwrap_err();
    let expected: RootDigest = ours.cert().digest();
    assert!(
        matches!(
            connect_error(&status),
            Some(ConnectError::PeerRefused { source: Refusal::RootNotPinned { expected: e, .. }, .. })
                if *e == expected
        ),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_joining_node_refuses_a_worker() {
    let root = root(1);
    let worker = Node::start(credentials(&root, Role::Worker, 10)).await;
    let status = call(&enrol_channel(worker.addr, root.cert().digest()))
        .await
        .unwrap_err();
    assert!(reason(&status).contains("is a worker, but a manager was expected"));
}

#[tokio::test]
async fn a_caller_refuses_a_worker_where_it_expects_a_manager() {
    let root = root(1);
    let worker = Node::start(credentials(&root, Role::Worker, 10)).await;
    let caller = live(credentials(&root, Role::Worker, 20));
    let status = call(&channel(worker.addr, caller, Expect::any_manager()))
        .await
        .unwrap_err();
    assert!(reason(&status).contains("is a worker, but a manager was expected"));
}

#[tokio::test]
async fn a_caller_refuses_another_manager_than_the_one_it_dialled() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let caller = live(credentials(&root, Role::Manager, 20));
    let expect = Expect::manager(NodeId::from_entropy(11));
    let status = call(&channel(manager.addr, caller, expect))
        .await
        .unwrap_err();
    assert!(
        matches!(
            connect_error(&status),
            Some(ConnectError::PeerRefused {
                source: Refusal::OtherNode { .. },
                ..
            })
        ),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_caller_refuses_a_manager_of_another_cluster() {
    let manager = Node::start(credentials(&root(1), Role::Manager, 10)).await;
    for other in [1, 2] {
        let caller = live(credentials(&root(other), Role::Worker, 20));
        let status = call(&channel(manager.addr, caller, Expect::any_manager()))
            .await
            .unwrap_err();
        assert!(
            reason(&status).contains("not issued by this cluster's root"),
            "{}",
            reason(&status)
        );
    }
}

#[tokio::test]
async fn a_node_with_an_expired_certificate_is_told_so_with_dates() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let expired = live(credentials_at(&root, Role::Worker, 20, now() - 2 * DAY));
    let status = call(&channel(manager.addr, expired, Expect::any_manager()))
        .await
        .unwrap_err();
    let reason = reason(&status);
    assert!(
        reason.contains("this node's certificate expired at")
            && reason.contains("d ")
            && reason.contains("weft cluster join --token"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_expired_server_is_refused_with_both_dates() {
    let root = root(1);
    let manager = Node::start(credentials_at(&root, Role::Manager, 10, now() - 2 * DAY)).await;
    let caller = live(credentials(&root, Role::Worker, 20));
    let status = call(&channel(manager.addr, caller, Expect::any_manager()))
        .await
        .unwrap_err();
    let reason = reason(&status);
    assert!(
        reason.contains("its certificate expired at") && reason.contains("and it is"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_server_from_the_future_is_refused_and_the_clocks_are_named() {
    let root = root(1);
    let manager = Node::start(credentials_at(&root, Role::Manager, 10, now() + DAY)).await;
    let caller = live(credentials(&root, Role::Worker, 20));
    let status = call(&channel(manager.addr, caller, Expect::any_manager()))
        .await
        .unwrap_err();
    let reason = reason(&status);
    assert!(
        reason.contains("its certificate is valid only from")
            && reason.contains("one of the two clocks is wrong"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_late_refusal_by_the_server_is_named() {
    // The caller's root is the server's, but its certificate is from the future, which only the
    // server notices, after the caller's side of the handshake is done.
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let caller = live(credentials_at(&root, Role::Worker, 20, now() + DAY));
    let status = call(&channel(manager.addr, caller, Expect::any_manager()))
        .await
        .unwrap_err();
    let reason = reason(&status);
    assert!(
        reason.contains("refused this node") && reason.contains("compare the two clocks"),
        "{reason}"
    );
}

#[tokio::test]
async fn new_connections_use_new_certificates_while_an_open_one_goes_on() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let worker = live(credentials(&root, Role::Worker, 20));
    let old = |node| identity(&root, Role::Worker, node).uri();
    let open = channel(manager.addr, worker.clone(), Expect::any_manager());
    assert_eq!(call(&open).await.unwrap(), old(20));

    worker.swap(credentials(&root, Role::Worker, 21)).unwrap();
    manager
        .live
        .swap(credentials(&root, Role::Manager, 11))
        .unwrap();

    assert_eq!(call(&open).await.unwrap(), old(20));
    let eleven = Expect::manager(NodeId::from_entropy(11));
    let new = channel(manager.addr, worker.clone(), eleven);
    assert_eq!(call(&new).await.unwrap(), old(21));
    assert_eq!(call(&open).await.unwrap(), old(20));
}

#[tokio::test]
async fn a_channel_reconnects_with_the_credentials_of_that_moment() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let wire = Wire::to(manager.addr).await;
    let worker = live(credentials(&root, Role::Worker, 20));
    let channel = channel(wire.addr, worker.clone(), Expect::any_manager());
    call(&channel).await.unwrap();
    worker.swap(credentials(&root, Role::Worker, 21)).unwrap();
    wire.cut();

    let expected = identity(&root, Role::Worker, 21).uri();
    let again = async {
        loop {
            match call(&channel).await {
                Ok(caller) if caller == expected => break,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .expect("a reconnection");
}

#[tokio::test]
async fn a_peer_that_vanished_silently_is_noticed() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let wire = Wire::to(manager.addr).await;
    let worker = live(credentials(&root, Role::Worker, 20));
    let channel = channel(wire.addr, worker, Expect::any_manager());
    call(&channel).await.unwrap();
    wire.freeze();
    // Ends by itself, without any timeout on the call, and the next call finds a new connection.
    call(&channel).await.unwrap_err();
    call(&channel).await.unwrap();
}

/// Calls until that fails, and returns how.
async fn until_refused(channel: &tonic::transport::Channel) -> tonic::Status {
    let refused = async {
        loop {
            match call(channel).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(status) => break status,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused)
        .await
        .expect("a refusal within 30 s")
}

fn revoked(answer: &str) -> bool {
    answer.ends_with(common::REVOKED)
}

#[tokio::test]
async fn a_revoked_node_loses_its_open_connection_and_a_new_one_is_marked() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let stolen = live(credentials(&root, Role::Worker, 20));
    let honest = live(credentials(&root, Role::Worker, 21));
    let open = channel(manager.addr, stolen.clone(), Expect::any_manager());
    let other = channel(manager.addr, honest.clone(), Expect::any_manager());
    call(&open).await.unwrap();
    call(&other).await.unwrap();

    manager
        .live
        .set_revoked([identity(&root, Role::Worker, 20)]);
    // The connection is cut and made anew, and whoever answers it knows.
    let marked = async {
        while !call(&open).await.is_ok_and(|answer| revoked(&answer)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let marked = tokio::time::timeout(Duration::from_secs(30), marked);
    marked.await.expect("the open connection ends");
    let new = channel(manager.addr, stolen.clone(), Expect::any_manager());
    assert!(revoked(&call(&new).await.unwrap()));
    assert!(!revoked(&call(&other).await.unwrap()));

    manager.live.set_revoked([]);
    let back = channel(manager.addr, stolen, Expect::any_manager());
    assert!(!revoked(&call(&back).await.unwrap()));
}

#[tokio::test]
async fn a_caller_leaves_a_manager_that_was_demoted() {
    let root = root(1);
    let demoted = Node::start(credentials(&root, Role::Manager, 10)).await;
    let worker = live(credentials(&root, Role::Worker, 20));
    let open = channel(demoted.addr, worker.clone(), Expect::any_manager());
    call(&open).await.unwrap();

    worker.set_revoked([identity(&root, Role::Manager, 10)]);
    until_refused(&open).await;
    let new = channel(demoted.addr, worker, Expect::any_manager());
    let status = call(&new).await.unwrap_err();
    assert!(reason(&status).contains("is no manager any more"));
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let caller = live(credentials(&root(1), Role::Worker, 20));
    let status = call(&channel(addr, caller, Expect::any_manager()))
        .await
        .unwrap_err();
    assert!(reason(&status).contains(&format!("cannot reach {addr}")));
}

#[tokio::test]
async fn a_machine_that_does_not_answer_is_named() {
    // The kernel completes the TCP connection, and then nobody answers the handshake.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let caller = live(credentials(&root(1), Role::Worker, 20));
    let status = call(&channel(addr, caller, Expect::any_manager()))
        .await
        .unwrap_err();
    assert!(reason(&status).contains(&format!("no answer from {addr}")));
}
