//! What a listening node does with good, bad and hostile callers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod common;

use std::time::Duration;

use common::DAY;
use common::Node;
use common::call;
use common::credentials;
use common::credentials_at;
use common::identity;
use common::live;
use common::now;
use common::raw::alert;
use common::raw::raw_handshake;
use common::root;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use weft_pki::Expect;
use weft_pki::channel;
use weft_proto::Role;

#[tokio::test]
async fn a_server_takes_its_own_clients_and_those_without_certificate() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let ours = credentials(&root, Role::Worker, 20);
    let tls13 = &[&rustls::version::TLS13];
    raw_handshake(&manager, Some(&ours), tls13).await.unwrap();
    raw_handshake(&manager, None, tls13).await.unwrap();
}

#[tokio::test]
async fn a_server_refuses_a_client_of_another_cluster() {
    let manager = Node::start(credentials(&root(1), Role::Manager, 10)).await;
    for other in [1, 2] {
        let theirs = credentials(&root(other), Role::Manager, 10);
        let error = raw_handshake(&manager, Some(&theirs), &[&rustls::version::TLS13])
            .await
            .unwrap_err();
        assert!(alert(&error).is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_refuses_an_expired_client() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let expired = credentials_at(&root, Role::Worker, 20, now() - 2 * DAY);
    let error = raw_handshake(&manager, Some(&expired), &[&rustls::version::TLS13])
        .await
        .unwrap_err();
    assert_eq!(
        alert(&error),
        Some(rustls::AlertDescription::CertificateExpired)
    );
}

#[tokio::test]
async fn a_client_that_speaks_only_tls_1_2_is_refused() {
    let manager = Node::start(credentials(&root(1), Role::Manager, 10)).await;
    let error = raw_handshake(&manager, None, &[&rustls::version::TLS12])
        .await
        .unwrap_err();
    assert_eq!(
        alert(&error),
        Some(rustls::AlertDescription::ProtocolVersion)
    );
}

#[tokio::test]
async fn garbage_and_silence_on_the_listener_disturb_nobody() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let mut silent = Vec::new();
    for number in 0..50 {
        let mut stream = TcpStream::connect(manager.addr).await.unwrap();
        match number % 3 {
            0 => stream.write_all(&[0xff; 4096]).await.unwrap(),
            1 => stream
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap(),
            _ => {}
        }
        silent.push(stream);
    }
    let worker = live(credentials(&root, Role::Worker, 20));
    let channel = channel(manager.addr, worker, Expect::any_manager());
    assert_eq!(
        call(&channel).await.unwrap(),
        identity(&root, Role::Worker, 20).uri()
    );
}

#[tokio::test]
async fn strangers_without_certificate_cannot_take_the_places_of_nodes() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let tls13 = &[&rustls::version::TLS13];
    let mut strangers = Vec::new();
    while let Ok(stranger) = raw_handshake(&manager, None, tls13).await {
        strangers.push(stranger);
        assert!(strangers.len() <= 256, "no bound");
    }
    assert_eq!(strangers.len(), 256);
    let worker = live(credentials(&root, Role::Worker, 20));
    let channel = channel(manager.addr, worker, Expect::any_manager());
    call(&channel).await.unwrap();

    // And their places become free when they leave.
    strangers.clear();
    let again = async {
        while raw_handshake(&manager, None, tls13).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .expect("a free place");
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_its_deadline() {
    let manager = Node::start(credentials(&root(1), Role::Manager, 10)).await;
    let mut silent = TcpStream::connect(manager.addr).await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(30), silent.read(&mut byte));
    assert_eq!(read.await.expect("closed within 30 s").unwrap(), 0);
}

#[tokio::test]
async fn an_ended_listener_ends_its_stream() {
    let mut manager = Node::start(credentials(&root(1), Role::Manager, 10)).await;
    manager.stop();
    let ended = tokio::time::timeout(Duration::from_secs(30), &mut manager.server);
    ended.await.expect("ended within 30 s").unwrap().unwrap();
}
