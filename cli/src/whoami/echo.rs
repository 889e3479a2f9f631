//! Bytes back as they came, to test what is not HTTP.

use std::time::Duration;

use tokio::io;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pause after an error of a listening socket, so as not to spin.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Largest UDP payload, in bytes.
const LARGEST_DATAGRAM: usize = 65_535;

/// Echoes on every connection until dropped; the client's end of stream ends ours.
pub(super) async fn tcp(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(echo(stream));
            }
            Err(error) => {
                tracing::debug!(%error, "tcp echo failed to accept");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    if let Err(error) = io::copy(&mut from, &mut to).await {
        tracing::debug!(%error, "tcp echo ended");
    }
}

/// Echoes every datagram until dropped.
pub(super) async fn udp(socket: UdpSocket) {
    let mut datagram = vec![0; LARGEST_DATAGRAM];
    loop {
        let echoed = match socket.recv_from(&mut datagram).await {
            Ok((length, client)) => socket.send_to(&datagram[..length], client).await,
            Err(error) => Err(error),
        };
        if let Err(error) = echoed {
            tracing::debug!(%error, "udp echo failed");
            sleep(ERROR_PAUSE).await;
        }
    }
}
