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
use common::raw::raw_handshake_from;
use common::root;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
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
        assert!(strangers.len() <= 64, "no bound");
    }
    assert_eq!(strangers.len(), 64);
    // One from elsewhere still finds a place.
    raw_handshake_from([127, 0, 0, 9], &manager, None, tls13)
        .await
        .unwrap();
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

/// A TCP connection from one of the loopback's sixteen million addresses.
async fn connect_from(from: [u8; 4], to: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

#[tokio::test]
async fn a_flood_of_half_open_handshakes_from_many_addresses_shuts_nobody_out() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let addr = manager.addr;
    let opened = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut floods = tokio::task::JoinSet::new();
    for host in 1..=8 {
        let opened = opened.clone();
        floods.spawn(async move {
            let mut open = std::collections::VecDeque::new();
            loop {
                if let Ok(mut stream) = connect_from([127, 0, 1, host], addr).await {
                    // The beginning of a ClientHello that never ends.
                    let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
                    open.push_back(stream);
                    opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                // Each flood holds some hundreds open, more than there are places in all.
                if open.len() > 300 {
                    open.pop_front();
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let count = || opened.load(std::sync::atomic::Ordering::Relaxed);
    while count() < 1_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for number in 0..5 {
        let worker = live(credentials(&root, Role::Worker, 20 + number));
        let channel = channel(addr, worker, Expect::any_manager());
        let served = async {
            // An honest client may have to try again; it does so by itself.
            while call(&channel).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let served = tokio::time::timeout(Duration::from_secs(30), served);
        served.await.expect("an honest client is served");
    }
    println!("{} half-open handshakes, 5 honest clients served", count());
}

#[tokio::test]
async fn a_stranger_that_sends_giant_frames_is_cut() {
    let root = root(1);
    let manager = Node::start(credentials(&root, Role::Manager, 10)).await;
    let tls13 = &[&rustls::version::TLS13];
    let mut stranger = raw_handshake(&manager, None, tls13).await.unwrap();
    stranger
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    // SETTINGS, then PINGs without end: legal frames, of which nobody needs so many.
    stranger
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut ping = vec![0, 0, 8, 6, 0, 0, 0, 0, 0];
    ping.extend([7; 8]);
    let pings = ping.repeat(64);
    let mut sent = 0_usize;
    while stranger.write_all(&pings).await.is_ok() {
        sent += pings.len();
        assert!(sent < 64 << 20, "no bound");
        tokio::task::yield_now().await;
    }
    // A node with a certificate is not counted.
    let worker = live(credentials(&root, Role::Worker, 20));
    let channel = channel(manager.addr, worker, Expect::any_manager());
    for _ in 0..2_000 {
        call(&channel).await.unwrap();
    }
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
