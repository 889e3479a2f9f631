//! A server on loopback, a scripted upstream, and `dig` as the oracle.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use hickory_proto::op::Message;
use hickory_proto::op::Query;
use hickory_proto::rr::Name;
use hickory_proto::rr::RData;
use hickory_proto::rr::Record;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::A;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::dns::DnsServer;
use crate::dns::DnsTable;
use crate::dns::Forwarding;
use crate::dns::Sockets;
use crate::dns::SrvTarget;
use crate::dns::Upstreams;
use crate::dns::bind;

/// What the fake upstream answers to every question.
pub(super) const UPSTREAM_ANSWER: &str = "192.0.2.53";

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn question(name: &str, kind: RecordType) -> Query {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    Query::query(name, kind)
}

pub(super) fn packet(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(question(name, kind));
    message.to_vec().unwrap()
}

/// `web` with a VIP and five tasks, a sick service, an alias, a service of 100 tasks.
pub(super) fn table() -> Arc<DnsTable> {
    let tasks: Vec<IpAddr> = (11..16)
        .map(|n| Ipv4Addr::new(10, 0, 1, n).into())
        .collect();
    let crowd: Vec<IpAddr> = (0..100)
        .map(|n| Ipv4Addr::new(10, 0, 2, n).into())
        .collect();
    let mut builder = DnsTable::builder();
    builder.own_subnet("10.0.0.0/16".parse().unwrap());
    builder.service("web", &[ip("10.0.1.2")]).unwrap();
    builder.tasks_of("web", &tasks).unwrap();
    for (slot, &address) in (1..).zip(&tasks) {
        builder.task(&format!("web.{slot}"), &[address]).unwrap();
    }
    builder
        .service("six", &[ip("10.0.1.3"), ip("fd00::3")])
        .unwrap();
    builder
        .round_robin("sick", &[])
        .unwrap()
        .tasks_of("sick", &[])
        .unwrap();
    builder.name("Front-End", &[ip("10.0.1.2")]).unwrap();
    builder.tasks_of("crowd", &crowd).unwrap();
    let target = |slot: u16| SrvTarget {
        target: format!("web.{slot}"),
        port: 8000,
    };
    builder
        .srv("_http._tcp.web", &[target(1), target(2)])
        .unwrap();
    Arc::new(builder.build())
}

/// UDP and TCP on one free port; the port the kernel gives for UDP may be in use for TCP.
pub(super) fn free_sockets() -> Sockets {
    (0..50)
        .find_map(|_| bind(Ipv4Addr::LOCALHOST, 0).ok())
        .expect("a free port")
}

pub(super) struct Served {
    pub(super) server: DnsServer,
    pub(super) address: SocketAddr,
}

pub(super) fn serve(table: Arc<DnsTable>, forwarding: Forwarding) -> Served {
    let sockets = free_sockets();
    let address = sockets.udp.local_addr().unwrap();
    Served {
        server: DnsServer::start(sockets, table, forwarding).unwrap(),
        address,
    }
}

impl Served {
    /// What `dig` prints for these arguments.
    pub(super) async fn dig(&self, args: &str) -> String {
        let address = self.address;
        let args = args.to_owned();
        tokio::task::spawn_blocking(move || dig(address, &args))
            .await
            .unwrap()
    }

    /// Sorted `dig +short` lines.
    pub(super) async fn short(&self, args: &str) -> Vec<String> {
        let text = self.dig(&format!("+short {args}")).await;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

pub(super) fn dig(server: SocketAddr, args: &str) -> String {
    let output = Command::new("dig")
        .arg(format!("@{}", server.ip()))
        .args([
            "-p",
            &server.port().to_string(),
            "+tries=1",
            "+time=5",
            "+nocookie",
        ])
        .args(args.split_whitespace())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// How a fake upstream behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Normal,
    Silent,
    ServFail,
    /// A forged answer (wrong id), then one to another question, then the true one.
    ForgedFirst,
    /// Over UDP only the truncation bit; the answer over TCP.
    TruncatedOverUdp,
    /// An answer of 60 addresses, whatever the client can take.
    Large,
}

pub(super) struct FakeUpstream {
    pub(super) address: SocketAddr,
    pub(super) asked: Arc<AtomicUsize>,
    _loops: JoinSet<()>,
}

impl FakeUpstream {
    pub(super) fn start(manner: Manner) -> Self {
        let sockets = free_sockets();
        let address = sockets.udp.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let udp = UdpSocket::from_std(sockets.udp).unwrap();
        let tcp = TcpListener::from_std(sockets.tcp).unwrap();
        let mut loops = JoinSet::new();
        loops.spawn(answer_udp(udp, manner, Arc::clone(&asked)));
        loops.spawn(answer_tcp(tcp));
        Self {
            address,
            asked,
            _loops: loops,
        }
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(super) fn forwarding(&self) -> Forwarding {
        Forwarding::To(Arc::new(Upstreams::new(vec![self.address])))
    }
}

fn upstream_reply(query: &[u8], addresses: u8) -> Message {
    let request = Message::from_vec(query).unwrap();
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.add_queries(request.queries.clone());
    for n in 0..addresses {
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 53 + n)));
        reply.add_answer(Record::from_rdata(
            request.queries[0].name().clone(),
            60,
            data,
        ));
    }
    reply
}

async fn answer_udp(socket: UdpSocket, manner: Manner, asked: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        asked.fetch_add(1, Ordering::SeqCst);
        let query = &buffer[..length];
        let mut reply = upstream_reply(query, if manner == Manner::Large { 60 } else { 1 });
        match manner {
            Manner::Silent => continue,
            Manner::Normal | Manner::Large => {}
            Manner::ServFail => {
                reply.answers.clear();
                reply.metadata.response_code = hickory_proto::op::ResponseCode::ServFail;
            }
            Manner::TruncatedOverUdp => reply = reply.truncate(),
            Manner::ForgedFirst => {
                let mut forged = upstream_reply(query, 9);
                forged.metadata.id = forged.metadata.id.wrapping_add(1);
                socket
                    .send_to(&forged.to_vec().unwrap(), client)
                    .await
                    .unwrap();
                forged.metadata.id = reply.metadata.id;
                forged.queries = vec![question("other.example", RecordType::A)];
                socket
                    .send_to(&forged.to_vec().unwrap(), client)
                    .await
                    .unwrap();
            }
        }
        socket
            .send_to(&reply.to_vec().unwrap(), client)
            .await
            .unwrap();
    }
}

async fn answer_tcp(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await.unwrap();
        let reply = upstream_reply(&query, 1).to_vec().unwrap();
        stream
            .write_u16(u16::try_from(reply.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&reply).await.unwrap();
    }
}
