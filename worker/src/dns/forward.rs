//! Questions that are not ours, asked of the node's resolvers from the node's own namespace.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hickory_proto::op::Header;
use hickory_proto::op::MessageType;
use hickory_proto::op::OpCode;
use hickory_proto::op::Query;
use hickory_proto::op::ResponseCode;
use hickory_proto::serialize::binary::BinDecodable;
use hickory_proto::serialize::binary::BinDecoder;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long one resolver may take before the next is asked. A recursive lookup that needs longer
/// is rare, and the client (5 s in libc) shall still hear from the second resolver.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long all tries together may take: below the 5 s after which libc asks again, so that a
/// failure is reported instead of piling up questions.
const TOTAL_TIMEOUT: Duration = Duration::from_millis(4500);

/// Whether questions for names that are not ours leave the node.
#[derive(Clone, Debug)]
pub enum Forwarding {
    /// The task is on internal networks only: unknown names do not exist for it.
    Denied,
    /// Unknown names are asked of these resolvers.
    To(Arc<Upstreams>),
}

/// The node's resolvers, shared by all its tasks so that one that is down is noticed once.
#[derive(Debug, Default)]
pub struct Upstreams {
    servers: Vec<SocketAddr>,
    /// Index of the resolver that answered last; the next question starts there.
    preferred: AtomicUsize,
}

/// Why a question found no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    #[error("the node has no resolver to forward to")]
    NoUpstream,
    #[error("no resolver of the node answered")]
    NoAnswer,
}

impl Upstreams {
    /// Resolvers in order of preference; with none, every forwarded question fails at once.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            preferred: AtomicUsize::new(0),
        }
    }

    /// Asks the resolvers in turn. `packet` is the client's, passed on as it is but for the id,
    /// so that options and record types we do not know survive; so is the answer.
    ///
    /// An answer that says the resolver itself failed is kept in hand while the others are asked.
    pub(super) async fn ask(
        &self,
        packet: &[u8],
        question: &Query,
    ) -> Result<Vec<u8>, ForwardError> {
        if self.servers.is_empty() {
            return Err(ForwardError::NoUpstream);
        }
        let mut refusal = None;
        let first = self.preferred.load(Ordering::Relaxed);
        let all_tries = async {
            for turn in 0..self.servers.len() {
                let index = (first + turn) % self.servers.len();
                let attempt = exchange(self.servers[index], packet, question);
                match timeout(TRY_TIMEOUT, attempt).await {
                    Ok(Ok(answer)) if answer.failed => refusal = Some(answer.bytes),
                    Ok(Ok(answer)) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Some(answer.bytes);
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(server = %self.servers[index], %error, "resolver failed");
                    }
                    Err(_) => tracing::debug!(server = %self.servers[index], "resolver is silent"),
                }
            }
            None
        };
        let answer = timeout(TOTAL_TIMEOUT, all_tries).await.ok().flatten();
        answer.or(refusal).ok_or(ForwardError::NoAnswer)
    }
}

struct UpstreamAnswer {
    bytes: Vec<u8>,
    truncated: bool,
    /// The resolver could not or would not do its work; another one may.
    failed: bool,
}

async fn exchange(
    server: SocketAddr,
    packet: &[u8],
    question: &Query,
) -> io::Result<UpstreamAnswer> {
    let answer = exchange_udp(server, packet, question).await?;
    if !answer.truncated {
        return Ok(answer);
    }
    exchange_tcp(server, packet, question).await
}

/// A fresh socket for each try: the kernel picks a random source port, and being connected it
/// takes packets from this resolver only. Together with the random id that is what an off-path
/// forger has to guess.
async fn exchange_udp(
    server: SocketAddr,
    packet: &[u8],
    question: &Query,
) -> io::Result<UpstreamAnswer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let (id, ours) = with_fresh_id(packet);
    socket.send(&ours).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else on this port is a forgery or a late answer; keep listening.
        if let Some(answer) = accept(&buffer[..length], id, question) {
            return Ok(answer);
        }
    }
}

async fn exchange_tcp(
    server: SocketAddr,
    packet: &[u8],
    question: &Query,
) -> io::Result<UpstreamAnswer> {
    let mut stream = TcpStream::connect(server).await?;
    let (id, ours) = with_fresh_id(packet);
    let length = u16::try_from(ours.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&ours);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    accept(&bytes, id, question)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "answer to another question"))
}

/// The packet under a new id. Not the client's: a task could otherwise choose it and help a forger.
fn with_fresh_id(packet: &[u8]) -> (u16, Vec<u8>) {
    let id: u16 = rand::random();
    let mut ours = packet.to_vec();
    set_id(&mut ours, id);
    (id, ours)
}

/// Writes the message id, the first two bytes of every DNS message.
pub(super) fn set_id(packet: &mut [u8], id: u16) {
    if let Some(field) = packet.first_chunk_mut() {
        *field = id.to_be_bytes();
    }
}

/// An answer to exactly our question under our id, or nothing.
fn accept(bytes: &[u8], id: u16, question: &Query) -> Option<UpstreamAnswer> {
    let mut decoder = BinDecoder::new(bytes);
    let header = Header::read(&mut decoder).ok()?;
    let metadata = header.metadata;
    let is_ours = metadata.id == id
        && metadata.message_type == MessageType::Response
        && metadata.op_code == OpCode::Query;
    if !is_ours {
        return None;
    }
    let failed = [
        ResponseCode::FormErr,
        ResponseCode::ServFail,
        ResponseCode::NotImp,
        ResponseCode::Refused,
    ]
    .contains(&metadata.response_code);
    let echoes = match header.counts.queries {
        // Some resolvers refuse without repeating the question.
        0 => failed,
        1 => same_question(&Query::read(&mut decoder).ok()?, question),
        _ => false,
    };
    echoes.then(|| UpstreamAnswer {
        bytes: bytes.to_vec(),
        truncated: metadata.truncation,
        failed,
    })
}

fn same_question(answer: &Query, question: &Query) -> bool {
    answer.query_type() == question.query_type()
        && answer.query_class() == question.query_class()
        && answer.name() == question.name()
}
