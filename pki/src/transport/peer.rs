//! An accepted connection, and what it says about its other end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::NodeIdentity;
use crate::UserProof;
use crate::transport::ending::Ending;

/// Who is at the other end of a connection that a call came in on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The node, proven by its certificate; `None` for a caller without one, such as a joining
    /// node.
    pub node: Option<NodeIdentity>,
    /// The person, proven by her certificate; whether the cluster still knows her, the state says.
    pub user: Option<Arc<UserProof>>,
    /// Where the connection comes from.
    pub remote: SocketAddr,
    /// The node is no longer welcome: whoever answers must say so and nothing else.
    pub revoked: bool,
}

/// The peer of the call whose request has these extensions; `None` when the call did not come in
/// over [`serve_incoming`](crate::serve_incoming), for example over the local socket.
pub fn peer_of(extensions: &http::Extensions) -> Option<PeerIdentity> {
    extensions.get::<PeerIdentity>().cloned()
}

/// An accepted connection after its handshake.
#[derive(Debug)]
pub struct ServerStream {
    tls: TlsStream<TcpStream>,
    peer: PeerIdentity,
    ending: Ending,
    /// How many bytes more may come in; `None`: without bound.
    left: Option<usize>,
}

impl ServerStream {
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        peer: PeerIdentity,
        ending: Ending,
        left: Option<usize>,
    ) -> Self {
        Self {
            tls,
            peer,
            ending,
            left,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> PeerIdentity {
        self.peer.clone()
    }
}

/// A caller without a certificate sent more than any honest one does.
fn too_much() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "a stranger sent too much")
}

impl Connected for ServerStream {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.peer.clone()
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ending.check(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.tls).poll_read(context, buffer);
        if let Some(left) = &mut this.left {
            let came = buffer.filled().len().saturating_sub(before);
            *left = left.checked_sub(came).ok_or_else(too_much)?;
        }
        read
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tls).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tls).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_shutdown(context)
    }
}
