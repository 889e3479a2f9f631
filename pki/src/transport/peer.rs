//! An accepted connection, and what it says about its other end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::NodeIdentity;

/// Who is at the other end of a connection that a call came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The node, proven by its certificate; `None` for a caller without one, such as a joining
    /// node.
    pub node: Option<NodeIdentity>,
    /// Where the connection comes from.
    pub remote: SocketAddr,
}

/// The peer of the call whose request has these extensions; `None` when the call did not come in
/// over [`serve_incoming`](crate::serve_incoming), for example over the local socket.
pub fn peer_of(extensions: &http::Extensions) -> Option<PeerIdentity> {
    extensions.get::<PeerIdentity>().copied()
}

/// An accepted connection after its handshake.
#[derive(Debug)]
pub struct ServerStream {
    tls: TlsStream<TcpStream>,
    peer: PeerIdentity,
    stay: Option<Stay>,
}

/// The stay of a caller that proved no identity: one of few places, for a limited time.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) until: Pin<Box<Sleep>>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl ServerStream {
    /// Reads the peer's identity out of the certificate that the handshake verified.
    pub(super) fn new(tls: TlsStream<TcpStream>, remote: SocketAddr) -> io::Result<Self> {
        let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let node = leaf
            .map(NodeIdentity::from_certificate)
            .transpose()
            .map_err(io::Error::other)?;
        Ok(Self {
            peer: PeerIdentity { node, remote },
            tls,
            stay: None,
        })
    }

    /// Limits how long the connection may last.
    pub(super) fn limited_to(self, stay: Stay) -> Self {
        Self {
            stay: Some(stay),
            ..self
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> PeerIdentity {
        self.peer
    }
}

impl Connected for ServerStream {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.peer
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(stay) = &mut this.stay
            && stay.until.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut this.tls).poll_read(context, buffer)
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
