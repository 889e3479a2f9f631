//! A small certificate authority and a small service for the tests.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod raw;

use std::convert::Infallible;
use std::future::Ready;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::Request;
use http::Response;
use rustls::pki_types::UnixTime;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tower::Service;
use tower::ServiceExt;
use weft_pki::Credentials;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_pki::PrivateKey;
use weft_pki::Root;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The real clock, because the TLS library compares with it.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(UnixTime::now().as_secs())
}

pub(crate) fn root(cluster: u128) -> Root {
    Root::create(ClusterId::from_entropy(cluster), now()).unwrap()
}

pub(crate) fn identity(root: &Root, role: Role, node: u128) -> NodeIdentity {
    NodeIdentity {
        cluster: root.cert().cluster(),
        role,
        node: NodeId::from_entropy(node),
    }
}

pub(crate) fn credentials_at(root: &Root, role: Role, node: u128, at: SystemTime) -> Credentials {
    let key = PrivateKey::generate().unwrap();
    let request = weft_pki::certificate_request(&key).unwrap();
    let identity = identity(root, role, node);
    let chain = weft_pki::issue(root, &request, &identity, at, DAY).unwrap();
    Credentials::new(key, chain, root.cert().clone()).unwrap()
}

pub(crate) fn credentials(root: &Root, role: Role, node: u128) -> Credentials {
    credentials_at(root, role, node, now())
}

pub(crate) fn live(credentials: Credentials) -> Arc<LiveCredentials> {
    LiveCredentials::new(credentials).unwrap()
}

/// Answers every call with who called.
#[derive(Clone)]
pub(crate) struct WhoCalls;

impl NamedService for WhoCalls {
    const NAME: &'static str = "test.WhoCalls";
}

impl Service<Request<Body>> for WhoCalls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = weft_pki::peer_of(request.extensions()).expect("a peer");
        let mut name = peer.node.map_or("nobody".to_owned(), |node| node.uri());
        if peer.revoked {
            name.push_str(REVOKED);
        }
        let response = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0")
            .header("peer", name)
            .header("remote", peer.remote.to_string())
            .body(Body::empty())
            .unwrap();
        ready(Ok(response))
    }
}

/// A listening node; stops when dropped.
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    pub(crate) live: Arc<LiveCredentials>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Node {
    pub(crate) async fn start(credentials: Credentials) -> Self {
        let live = live(credentials);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let incoming = weft_pki::serve_incoming(listener, live.clone(), async {
            let _ = stopped.await;
        });
        let server = tokio::spawn(
            weft_pki::server()
                .add_service(WhoCalls)
                .serve_with_incoming(incoming),
        );
        Node {
            addr,
            live,
            stop: Some(stop),
            server,
        }
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take();
    }
}

/// What the name of a caller ends with who is no longer welcome.
pub(crate) const REVOKED: &str = " (revoked)";

/// Calls and returns who the other side thinks is calling.
pub(crate) async fn call(channel: &Channel) -> Result<String, tonic::Status> {
    let request = Request::post("http://node/test.WhoCalls/Call")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::empty())
        .unwrap();
    let send = async {
        let mut channel = channel.clone();
        channel.ready().await?.call(request).await
    };
    let response = tokio::time::timeout(Duration::from_secs(30), send)
        .await
        .expect("an answer within 30 s")
        .map_err(|error| tonic::Status::from_error(Box::new(error)))?;
    let peer = response.headers().get("peer").expect("a peer header");
    Ok(peer.to_str().unwrap().to_owned())
}

/// The whole reason a call failed, as a person would be shown it.
pub(crate) fn reason(status: &tonic::Status) -> String {
    weft_pki::explain(status).unwrap_or_else(|| panic!("no connect error in {status:?}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Cut,
    Freeze,
}

/// Passes connections on to a node until it is told to cut them.
pub(crate) struct Wire {
    pub(crate) addr: SocketAddr,
    cut: watch::Sender<Fault>,
    task: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (cut, _) = watch::channel(Fault::Cut);
        let cuts = cut.clone();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cut = cuts.subscribe();
                open.spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                    if *cut.borrow() == Fault::Freeze {
                        // Both sockets stay open and silent.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Wire { addr, cut, task }
    }

    /// Closes every connection that is open now.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(Fault::Cut);
    }

    /// From now on nothing passes on the connections that are open now, and nobody is told.
    pub(crate) fn freeze(&self) {
        self.cut.send_replace(Fault::Freeze);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}
