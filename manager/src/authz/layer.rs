//! The table in front of every service of a listener.

use crate::acting;
use crate::acting::Acting;
use crate::acting::Origin;
use crate::acting::Quiet;
use crate::authz::Caller;
use crate::authz::Denied;
use crate::authz::Roll;
use crate::authz::authorize;
use futures::future::Either;
use futures::future::Ready;
use futures::future::ready;
use std::fmt;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::server::UdsConnectInfo;
use tower::Layer;
use tower::Service;
use weft_pki::PeerIdentity;
use weft_pki::peer_of;
use weft_pki::removed_status;
use weft_proto::Role;

/// Which listener calls come in on.
#[derive(Clone)]
enum Listener {
    /// The control port: callers are what their certificate says, and managers only as long as
    /// this one says so too.
    Tls(Arc<dyn Roll>),
    /// The node's own socket: whoever can open it is root on this node.
    Socket,
}

/// Answers calls that the table does not allow, before any service sees them. A layer and not an
/// interceptor, since tonic's interceptors do not see which call it is.
#[derive(Clone, Debug)]
pub struct AuthorizeLayer {
    listener: Listener,
    denials: Arc<Quiet>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Listener::Tls(_) => "Tls",
            Listener::Socket => "Socket",
        })
    }
}

impl AuthorizeLayer {
    /// For the control port, served with [`weft_pki::serve_incoming`].
    pub fn tls(roll: Arc<dyn Roll>) -> Self {
        Self::of(Listener::Tls(roll))
    }

    /// For the daemon's unix socket.
    pub fn local() -> Self {
        Self::of(Listener::Socket)
    }

    fn of(listener: Listener) -> Self {
        Self {
            listener,
            denials: Arc::default(),
        }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize {
            inner,
            listener: self.listener.clone(),
            denials: self.denials.clone(),
        }
    }
}

/// A service behind the table.
#[derive(Clone, Debug)]
pub struct Authorize<S> {
    inner: S,
    listener: Listener,
    denials: Arc<Quiet>,
}

impl<S, Asked, Answered> Service<http::Request<Asked>> for Authorize<S>
where
    S: Service<http::Request<Asked>, Response = http::Response<Answered>>,
    Answered: Default,
{
    type Response = http::Response<Answered>;
    type Error = S::Error;
    type Future = Either<
        Ready<Result<Self::Response, S::Error>>,
        TaskLocalFuture<Option<Arc<Acting>>, S::Future>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Asked>) -> Self::Future {
        let peer = peer_of(request.extensions());
        let path = request.uri().path();
        if let Some(peer) = peer.filter(|peer| peer.revoked) {
            tracing::debug!(?peer, %path, "a node that was removed called");
            return Either::Left(ready(Ok(removed_status(REMOVED).into_http())));
        }
        let caller = match &self.listener {
            Listener::Socket => Caller::LocalSocket,
            Listener::Tls(roll) => caller(peer, path, &**roll),
        };
        match authorize(path, caller) {
            Ok(()) => {
                let acting = changes_state(path).then(|| acting(&request));
                Either::Right(acting::serve(acting, self.inner.call(request)))
            }
            Err(denied) => {
                let from = peer.map(|peer| peer.remote);
                if peer.and_then(|peer| peer.node).map(|node| node.role) == Some(Role::Manager) {
                    // It was made a worker, and some call of its last moments goes on.
                    tracing::debug!(%caller, ?from, %denied, "call denied");
                } else if let Some(skipped) = self.denials.turn(Instant::now()) {
                    tracing::warn!(%caller, ?from, skipped, %denied, "call denied");
                }
                Either::Left(ready(Ok(Status::from(denied).into_http())))
            }
        }
    }
}

/// What a node that was removed is told, whatever it asks for.
const REMOVED: &str = "this node was removed from the cluster: join it again with a token (`weft \
     cluster join`) to make it a new node";

/// Consensus has its own rules for who counts, and must work for one who is behind with the state.
const CONSENSUS: &str = "/weft.v1.Raft/";

/// A manager that was made a worker is one, though its certificate still says manager.
fn caller(peer: Option<PeerIdentity>, path: &str, roll: &dyn Roll) -> Caller {
    let Some(node) = peer.and_then(|peer| peer.node) else {
        return Caller::Anonymous;
    };
    match node.role {
        Role::Manager if path.starts_with(CONSENSUS) || roll.manages(node.node) => Caller::Manager,
        Role::Manager | Role::Worker => Caller::Worker,
    }
}

/// Calls of which the changes have an actor: all but those that managers and agents make for the
/// cluster itself, thousands of times a second.
fn changes_state(path: &str) -> bool {
    !["/weft.v1.Raft/", "/weft.v1.Peer/", "/weft.v1.Dispatcher/"]
        .iter()
        .any(|service| path.starts_with(service))
}

/// Who makes this call, by what the connection has proven.
fn acting<T>(request: &http::Request<T>) -> Acting {
    let path = request.uri().path();
    let Some(peer) = peer_of(request.extensions()) else {
        let socket = request.extensions().get::<UdsConnectInfo>();
        let uid = socket.and_then(|socket| Some(socket.peer_cred.as_ref()?.uid()));
        let identity = uid.map_or_else(|| "local".to_owned(), |uid| format!("local/uid/{uid}"));
        return Acting::new(identity, Origin::Socket, path);
    };
    let identity = peer
        .node
        .map_or_else(|| "anonymous".to_owned(), |node| node.uri());
    Acting::new(identity, Origin::Remote(peer.remote), path)
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Status {
        let text = denied.to_string();
        match denied {
            Denied::Unauthenticated { .. } => Status::unauthenticated(text),
            Denied::Forbidden { .. } => Status::permission_denied(text),
            Denied::Unknown { .. } => Status::unimplemented(text),
        }
    }
}
