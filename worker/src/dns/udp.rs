//! The UDP loop: answers we know are sent from the loop itself, forwards leave it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer::Transport;
use super::server::Next;
use super::server::Pending;
use super::server::Responder;

/// Largest question taken, in bytes. Real ones have under 300; a longer one is cut by the kernel
/// and then refused as malformed.
const LARGEST_QUERY: usize = 4096;

/// Pause after an error of the socket, so that a lasting one does not eat a core.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Serves until dropped.
pub(super) async fn serve(socket: Arc<UdpSocket>, responder: Arc<Responder>) {
    // Forwards live in this set: dropping the loop drops them. Their number is bounded by the
    // responder, which fails what exceeds it without waiting.
    let mut forwards = JoinSet::new();
    let mut packet = vec![0; LARGEST_QUERY];
    let mut out = Vec::with_capacity(LARGEST_QUERY);
    loop {
        while forwards.try_join_next().is_some() {}
        let (length, client) = match socket.recv_from(&mut packet).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "dns udp socket failed to receive");
                sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let query = &packet[..length];
        match responder.respond(query, Transport::Udp, &mut out) {
            Next::Nothing => {}
            Next::Send => send(&socket, &out, client).await,
            Next::Forward(pending) => {
                let (socket, responder) = (Arc::clone(&socket), Arc::clone(&responder));
                forwards.spawn(forward(socket, responder, pending, query.to_vec(), client));
            }
        }
    }
}

async fn forward(
    socket: Arc<UdpSocket>,
    responder: Arc<Responder>,
    pending: Pending,
    query: Vec<u8>,
    client: SocketAddr,
) {
    let mut out = Vec::new();
    if responder
        .forward(pending, &query, Transport::Udp, &mut out)
        .await
    {
        send(&socket, &out, client).await;
    }
}

async fn send(socket: &UdpSocket, bytes: &[u8], client: SocketAddr) {
    // The client may be gone; it asks again if it is not.
    if let Err(error) = socket.send_to(bytes, client).await {
        tracing::debug!(%client, %error, "dns answer could not be sent");
    }
}
