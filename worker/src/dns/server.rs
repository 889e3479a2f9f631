//! One task's resolver: sockets in its namespace, answers from the agent's threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use hickory_proto::op::Message;
use hickory_proto::op::ResponseCode;
use tokio::net::TcpListener;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answer;
use super::answer::Decision;
use super::answer::Transport;
use super::forward;
use super::forward::Forwarding;
use super::sockets::Sockets;
use super::table::DnsTable;
use super::tcp;
use super::udp;

/// Forwarded questions of one task under way at a time. Each holds a socket for up to 4.5 s; the
/// bound keeps one task from using up the agent's descriptors. Beyond it: SERVFAIL at once.
const FORWARDS_AT_ONCE: usize = 128;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP socket was not accepted by the runtime; was it made non-blocking?
    #[error("failed to register the resolver's udp socket with the runtime")]
    RegisterUdp {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The TCP socket was not accepted by the runtime; was it made non-blocking?
    #[error("failed to register the resolver's tcp socket with the runtime")]
    RegisterTcp {
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// What the server answers from, replaced as a whole.
#[derive(Debug)]
struct View {
    table: Arc<DnsTable>,
    forwarding: Forwarding,
}

/// A running resolver. Dropping it stops it and closes its sockets.
#[derive(Debug)]
pub struct DnsServer {
    handle: DnsHandle,
    // Never joined: the loops end by being dropped.
    _loops: JoinSet<()>,
}

/// Changes a running resolver's answers.
#[derive(Clone, Debug)]
pub struct DnsHandle {
    view: Arc<ArcSwap<View>>,
}

impl DnsServer {
    /// Starts answering on `sockets`. Must be called within a tokio runtime.
    pub fn start(
        sockets: Sockets,
        table: Arc<DnsTable>,
        forwarding: Forwarding,
    ) -> Result<Self, StartError> {
        let udp = UdpSocket::from_std(sockets.udp)
            .map_err(|source| StartError::RegisterUdp { source })?;
        let tcp = TcpListener::from_std(sockets.tcp)
            .map_err(|source| StartError::RegisterTcp { source })?;
        let view = Arc::new(ArcSwap::from_pointee(View { table, forwarding }));
        let responder = Arc::new(Responder {
            view: Arc::clone(&view),
            queries: AtomicUsize::new(0),
            forwards: Semaphore::new(FORWARDS_AT_ONCE),
        });
        let mut loops = JoinSet::new();
        loops.spawn(udp::serve(Arc::new(udp), Arc::clone(&responder)));
        loops.spawn(tcp::serve(tcp, responder));
        Ok(Self {
            handle: DnsHandle { view },
            _loops: loops,
        })
    }

    /// A handle for whoever learns of changes.
    pub fn handle(&self) -> DnsHandle {
        self.handle.clone()
    }
}

impl DnsHandle {
    /// Replaces table and forwarding together. Every question is answered from the old pair or
    /// from the new one; none waits and none is lost.
    pub fn update(&self, table: Arc<DnsTable>, forwarding: Forwarding) {
        self.view.store(Arc::new(View { table, forwarding }));
    }
}

/// Answers packets, whichever socket they came from.
#[derive(Debug)]
pub(super) struct Responder {
    view: Arc<ArcSwap<View>>,
    /// Turns the order of addresses from one query to the next.
    queries: AtomicUsize,
    forwards: Semaphore,
}

/// What a loop has to do for a packet.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    /// The answer is in the buffer that was handed in.
    Send,
    /// Call [`Responder::forward`], away from the loop.
    Forward(Pending),
}

/// A question on its way to a resolver of the node.
#[derive(Debug)]
pub(super) struct Pending {
    request: Message,
    forwarding: Forwarding,
}

impl Responder {
    /// Decides `packet`; an answer known here is written to `out`.
    pub(super) fn respond(&self, packet: &[u8], transport: Transport, out: &mut Vec<u8>) -> Next {
        let view = self.view.load();
        let rotation = self.queries.fetch_add(1, Ordering::Relaxed);
        let may_forward = matches!(view.forwarding, Forwarding::To(_));
        match answer::decide(packet, &view.table, may_forward, rotation) {
            Decision::Ignore => Next::Nothing,
            Decision::Reply(mut reply) => encoded(&mut reply, transport, out),
            Decision::Forward(request) => {
                let forwarding = view.forwarding.clone();
                Next::Forward(Pending {
                    request,
                    forwarding,
                })
            }
        }
    }

    /// Asks the node's resolvers and writes their answer, or SERVFAIL, to `out`. Whether there
    /// is something to send.
    pub(super) async fn forward(
        &self,
        pending: Pending,
        packet: &[u8],
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> bool {
        let Pending {
            request,
            forwarding,
        } = pending;
        let answer = match (
            &forwarding,
            request.queries.first(),
            self.forwards.try_acquire(),
        ) {
            (Forwarding::To(upstreams), Some(question), Ok(_permit)) => {
                let asked = upstreams.ask(packet, question).await;
                asked
                    .inspect_err(|error| tracing::debug!(%error, "dns question failed"))
                    .ok()
            }
            _ => None,
        };
        let limit = answer::size_limit(&request, transport);
        let mut reply = match answer {
            Some(mut bytes) => {
                forward::set_id(&mut bytes, request.metadata.id);
                if bytes.len() <= usize::from(limit) {
                    *out = bytes;
                    return true;
                }
                too_large(&request, &bytes)
            }
            None => answer::failure(&request, ResponseCode::ServFail),
        };
        answer::encode(&mut reply, limit, out).is_ok()
    }
}

/// An upstream's answer to be cut to what the client takes.
fn too_large(request: &Message, bytes: &[u8]) -> Message {
    Message::from_vec(bytes).unwrap_or_else(|_| {
        let mut reply = answer::failure(request, ResponseCode::NoError);
        reply.metadata.truncation = true;
        reply
    })
}

fn encoded(reply: &mut Message, transport: Transport, out: &mut Vec<u8>) -> Next {
    match answer::encode_reply(reply, transport, out) {
        Ok(()) => Next::Send,
        Err(error) => {
            tracing::warn!(%error, "dns answer could not be encoded");
            Next::Nothing
        }
    }
}
