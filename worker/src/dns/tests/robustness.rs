use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prelude::prop_assert;
use proptest::proptest;
use proptest::sample::Index;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::support::FakeUpstream;
use super::support::Manner;
use super::support::ip;
use super::support::packet;
use super::support::serve;
use super::support::table;
use crate::dns::DnsTable;
use crate::dns::Forwarding;
use crate::dns::answer::Decision;
use crate::dns::answer::Transport;
use crate::dns::answer::decide;
use crate::dns::answer::encode_reply;

const PATIENCE: Duration = Duration::from_secs(10);

fn decide_and_encode(bytes: &[u8]) -> Option<Vec<u8>> {
    match decide(bytes, &table(), true, 3) {
        Decision::Reply(mut reply) => {
            let mut out = Vec::new();
            encode_reply(&mut reply, Transport::Udp, &mut out).unwrap();
            Some(out)
        }
        Decision::Ignore | Decision::Forward(_) => None,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decided_without_panic(bytes in vec(any::<u8>(), 0..600)) {
        if let Some(reply) = decide_and_encode(&bytes) {
            prop_assert!(reply.len() <= 4096);
            prop_assert!(Message::from_vec(&reply).is_ok());
        }
    }

    #[test]
    fn a_damaged_question_is_decided_without_panic(
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        keep in any::<Index>(),
    ) {
        let mut bytes = packet("tasks.crowd", RecordType::A);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        decide_and_encode(&bytes);
        bytes.truncate(keep.index(bytes.len()));
        decide_and_encode(&bytes);
    }

    #[test]
    fn responses_are_never_answered(id in any::<u16>()) {
        let mut bytes = packet("web", RecordType::A);
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        bytes[2] |= 0x80;
        let silent = matches!(decide(&bytes, &table(), true, 0), Decision::Ignore);
        prop_assert!(silent);
    }
}

/// One question over UDP; panics if the answer does not come.
async fn ask(socket: &UdpSocket, server: SocketAddr, name: &str) -> Message {
    let query = packet(name, RecordType::A);
    socket.send_to(&query, server).await.unwrap();
    let mut buffer = [0; 4096];
    loop {
        let length = timeout(PATIENCE, socket.recv(&mut buffer))
            .await
            .expect("query lost")
            .unwrap();
        let reply = Message::from_vec(&buffer[..length]).unwrap();
        if reply.metadata.id.to_be_bytes() == query[..2] {
            return reply;
        }
    }
}

#[tokio::test]
async fn a_server_survives_garbage_on_both_sockets() {
    let upstream = FakeUpstream::start(Manner::Normal);
    let served = serve(table(), upstream.forwarding());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..2000 {
        let length = rand::random_range(0..600);
        let garbage: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        socket.send_to(&garbage, served.address).await.unwrap();
    }
    for _ in 0..100 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let garbage: Vec<u8> = (0..50).map(|_| rand::random()).collect();
        let _ = stream.write_all(&garbage).await;
    }
    let fresh = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(ask(&fresh, served.address, "web").await.answers.len(), 1);
    assert_eq!(served.short("+tcp web A").await, ["10.0.1.2"]);
}

#[tokio::test]
async fn a_malformed_question_is_refused_under_its_id() {
    let served = serve(table(), Forwarding::Denied);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut query = packet("web", RecordType::A);
    query.truncate(15);
    socket.send_to(&query, served.address).await.unwrap();
    let mut buffer = [0; 512];
    let length = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(length, 12);
    assert_eq!((&buffer[..2], buffer[3] & 15), (&query[..2], 1));
}

#[test]
fn anything_but_one_question_is_refused_unread() {
    for count in [[0, 0], [0, 2], [255, 255]] {
        let mut query = packet("web", RecordType::A);
        query[4..6].copy_from_slice(&count);
        let reply = decide_and_encode(&query).unwrap();
        assert_eq!((reply.len(), reply[3] & 15), (12, 1), "{count:?}");
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_free_again_later() {
    let served = serve(table(), Forwarding::Denied);
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(TcpStream::connect(served.address).await.unwrap());
    }
    let mut extra = TcpStream::connect(served.address).await.unwrap();
    let closed = timeout(PATIENCE, extra.read(&mut [0; 1]))
        .await
        .expect("closed at once");
    assert!(matches!(closed, Ok(0) | Err(_)));
    drop(held);
    let again = async { while served.short("+tcp web A").await != ["10.0.1.2"] {} };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_live_updates_lose_no_query() {
    const UPDATES: u8 = 250;
    let served = serve(table(), Forwarding::Denied);
    let handle = served.server.handle();
    let version = |n: u8| {
        let mut builder = DnsTable::builder();
        builder
            .service(
                "web",
                &[ip(&format!("10.1.0.{n}")), ip(&format!("10.2.0.{n}"))],
            )
            .unwrap();
        Arc::new(builder.build())
    };
    handle.update(version(0), Forwarding::Denied);
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let server = served.address;
        clients.spawn(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for _ in 0..1500 {
                let reply = ask(&socket, server, "web").await;
                let last = |record: &hickory_proto::rr::Record| {
                    let std::net::IpAddr::V4(v4) = record.data.ip_addr().unwrap() else {
                        panic!()
                    };
                    v4.octets()[3]
                };
                assert_eq!(reply.answers.len(), 2);
                assert_eq!(
                    last(&reply.answers[0]),
                    last(&reply.answers[1]),
                    "half an update"
                );
            }
        });
    }
    for n in (0..4).flat_map(|_| 1..=UPDATES) {
        handle.update(version(n), Forwarding::Denied);
        tokio::task::yield_now().await;
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(served.short("web A").await, ["10.1.0.250", "10.2.0.250"]);
}
