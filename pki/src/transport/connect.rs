//! The calling side.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use rustls::time_provider::TimeProvider;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use weft_proto::NodeId;
use weft_proto::Role;

use crate::IdentityError;
use crate::LiveCredentials;
use crate::NodeIdentity;
use crate::Refusal;
use crate::RootDigest;
use crate::UserCredentials;
use crate::tls;
use crate::transport::ConnectError;
use crate::transport::ending::Ending;
use crate::transport::error::LATE_REFUSAL;
use crate::when;

/// TCP and TLS together. Three round trips even between continents, and short enough that a
/// caller with several managers to choose from soon tries the next.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// A silent connection is asked for a sign of life after this long, and given up when none comes
/// within [`KEEPALIVE_TIMEOUT`]: a peer that vanished is noticed within 4 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The role in the answering node's certificate.
    pub role: Role,
    /// The node, where one is meant and not any of its role.
    pub node: Option<NodeId>,
}

impl Expect {
    /// Any manager will do.
    pub fn any_manager() -> Self {
        Self {
            role: Role::Manager,
            node: None,
        }
    }

    /// Only this manager.
    pub fn manager(node: NodeId) -> Self {
        Self {
            role: Role::Manager,
            node: Some(node),
        }
    }
}

/// A channel to the node at `addr`, which proves both sides' identities.
///
/// It connects at the first call, and again after the connection was lost, each time with the
/// credentials that are current then. A call that fails because no connection came about carries
/// a [`ConnectError`]; see [`connect_error`](crate::connect_error) and [`explain`](crate::explain).
pub fn channel(addr: SocketAddr, live: Arc<LiveCredentials>, expect: Expect) -> Channel {
    lazy(addr, move || {
        let live = live.clone();
        async move {
            let config = own_config(&live, expect)?;
            let mut stream = dial(addr, config).await?;
            stream.ending = Some(welcome(&stream.tls, addr, &live)?);
            Ok(TokioIo::new(stream))
        }
    })
}

/// A channel for a node that has no certificate (yet, or no longer): it talks only to a manager
/// of the cluster whose root has exactly this digest.
pub fn enrol_channel(addr: SocketAddr, root: RootDigest) -> Channel {
    lazy(addr, move || async move {
        let clock = Arc::new(DefaultTimeProvider);
        let config = tls::enrol_config(root, clock).map_err(ConnectError::Setup)?;
        Ok(TokioIo::new(dial(addr, config).await?))
    })
}

/// A channel for a person: to the manager at `addr`, whichever of her cluster it is. As with
/// [`channel`], it connects at the first call, and a call says why no connection came about.
pub fn user_channel(addr: SocketAddr, credentials: Arc<UserCredentials>) -> Channel {
    lazy(addr, move || {
        let credentials = credentials.clone();
        async move {
            let clock = Arc::new(DefaultTimeProvider);
            let (not_after, now) = (credentials.not_after(), clock.current_time());
            if let Some(now) = now.map(when::system_time)
                && now > not_after
            {
                return Err(ConnectError::UserCertificateExpired { now, not_after });
            }
            let config = tls::user_config(&credentials, clock).map_err(ConnectError::Setup)?;
            Ok(TokioIo::new(dial(addr, config).await?))
        }
    })
}

/// Refuses a node that is no longer welcome, now or as soon as it is not.
fn welcome(
    tls: &TlsStream<TcpStream>,
    addr: SocketAddr,
    live: &LiveCredentials,
) -> Result<Ending, ConnectError> {
    let refuse = |source| ConnectError::PeerRefused { addr, source };
    let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let identity = leaf
        .ok_or(IdentityError::NotACertificate)
        .and_then(NodeIdentity::from_certificate)
        .map_err(|source| refuse(Refusal::Identity(source)))?;
    if live.revoked().contains(&identity) {
        return Err(refuse(Refusal::Revoked { identity }));
    }
    let revoked = live.revoked().wait_for(identity);
    Ok(Ending::new(async move {
        revoked.await;
        io::ErrorKind::ConnectionAborted
    }))
}

fn own_config(live: &LiveCredentials, expect: Expect) -> Result<Arc<ClientConfig>, ConnectError> {
    let credentials = live.current();
    let clock = live.clock();
    // In TLS 1.3 a refused client certificate shows only after the handshake, as an alert
    // without dates. Looking here gives the person the dates.
    if let Some(now) = clock.current_time().map(when::system_time)
        && now > credentials.not_after()
    {
        return Err(ConnectError::OwnCertificateExpired {
            now,
            not_after: credentials.not_after(),
        });
    }
    tls::client_config(&credentials, expect, clock).map_err(ConnectError::Setup)
}

fn lazy<C, F>(addr: SocketAddr, connect: C) -> Channel
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<TokioIo<ClientStream>, ConnectError>> + Send + 'static,
{
    let connector = tower::service_fn(move |_: http::Uri| connect());
    // The scheme is plain because TLS is ours, not tonic's; the host is never resolved.
    endpoint(addr).connect_with_connector_lazy(connector)
}

fn endpoint(addr: SocketAddr) -> Endpoint {
    // Every socket address makes a valid authority, except that a scope id ("%eth0") does not
    // belong into one; the name does not matter, since the connector dials `addr`.
    let host = match addr {
        SocketAddr::V4(addr) => addr.to_string(),
        SocketAddr::V6(addr) => format!("[{}]:{}", addr.ip(), addr.port()),
    };
    Endpoint::from_shared(format!("http://{host}"))
        .unwrap_or_else(|_| Endpoint::from_static("http://node.weft"))
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

async fn dial(addr: SocketAddr, config: Arc<ClientConfig>) -> Result<ClientStream, ConnectError> {
    // Not tonic's own timeout, whose error would not name the address.
    timeout(CONNECT_TIMEOUT, handshake(addr, config))
        .await
        .map_err(|_| ConnectError::Timeout { addr })?
}

async fn handshake(
    addr: SocketAddr,
    config: Arc<ClientConfig>,
) -> Result<ClientStream, ConnectError> {
    let failed = |source| ConnectError::Dial { addr, source };
    let stream = TcpStream::connect(addr).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let tls = TlsConnector::from(config)
        .connect(ServerName::IpAddress(addr.ip().into()), stream)
        .await
        .map_err(|source| ConnectError::of_tls(addr, source))?;
    Ok(ClientStream {
        tls,
        addr,
        ending: None,
    })
}

/// An outgoing connection, which turns the other side's late refusal into words.
struct ClientStream {
    tls: TlsStream<TcpStream>,
    addr: SocketAddr,
    ending: Option<Ending>,
}

impl ClientStream {
    fn explain(&self, error: io::Error) -> io::Error {
        let refused = ConnectError::of_tls(self.addr, error);
        if let ConnectError::Handshake { source, .. } = refused {
            // Not about certificates: as it was.
            return source;
        }
        io::Error::new(LATE_REFUSAL, refused)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(ending) = &mut this.ending {
            ending.check(context)?;
        }
        Pin::new(&mut this.tls)
            .poll_read(context, buffer)
            .map_err(|error| this.explain(error))
    }
}

impl AsyncWrite for ClientStream {
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
