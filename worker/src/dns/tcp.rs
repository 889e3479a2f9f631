//! The TCP loop: length-prefixed messages (RFC 7766), one after the other on each connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio::time::timeout;

use super::answer::Transport;
use super::server::Next;
use super::server::Responder;

/// How long a connection may neither send a whole question nor take a whole answer. RFC 7766
/// s.6.2.3 asks for a few seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of one task at a time; TCP is only for answers too large for UDP. More are closed
/// at once, so that a task cannot use up the agent's descriptors.
const MOST_CONNECTIONS: usize = 64;

/// Pause after a failed accept (out of descriptors, mostly), so as not to spin.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, responder: Arc<Responder>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(_) if connections.len() >= MOST_CONNECTIONS => {}
            Ok((stream, _)) => {
                let responder = Arc::clone(&responder);
                connections.spawn(async move {
                    if let Err(error) = converse(stream, &responder).await {
                        tracing::debug!(%error, "dns connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "dns tcp socket failed to accept");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: TcpStream, responder: &Responder) -> io::Result<()> {
    let mut query = Vec::new();
    let mut out = Vec::new();
    while timeout(IDLE_TIMEOUT, receive(&mut stream, &mut query)).await?? {
        let send = match responder.respond(&query, Transport::Tcp, &mut out) {
            Next::Nothing => false,
            Next::Send => true,
            Next::Forward(pending) => {
                responder
                    .forward(pending, &query, Transport::Tcp, &mut out)
                    .await
            }
        };
        // A message that deserves no answer will not be followed by a better one.
        if !send {
            return Ok(());
        }
        timeout(IDLE_TIMEOUT, transmit(&mut stream, &out)).await??;
    }
    Ok(())
}

/// The next message; false at the end of the connection.
async fn receive(stream: &mut TcpStream, query: &mut Vec<u8>) -> io::Result<bool> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    query.resize(usize::from(length), 0);
    stream.read_exact(query).await?;
    Ok(true)
}

/// Prefix and message in one write: some clients take them for broken when they come apart.
async fn transmit(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
