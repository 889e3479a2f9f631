//! The table in front of every service of a listener.

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
use tonic::Status;
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
pub struct AuthorizeLayer(Listener);

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
        Self(Listener::Tls(roll))
    }

    /// For the daemon's unix socket.
    pub fn local() -> Self {
        Self(Listener::Socket)
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize {
            inner,
            listener: self.0.clone(),
        }
    }
}

/// A service behind the table.
#[derive(Clone, Debug)]
pub struct Authorize<S> {
    inner: S,
    listener: Listener,
}

impl<S, Asked, Answered> Service<http::Request<Asked>> for Authorize<S>
where
    S: Service<http::Request<Asked>, Response = http::Response<Answered>>,
    Answered: Default,
{
    type Response = http::Response<Answered>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Self::Response, S::Error>>, S::Future>;

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
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(denied) => {
                let from = peer.map(|peer| peer.remote);
                if peer.and_then(|peer| peer.node).map(|node| node.role) == Some(Role::Manager) {
                    // It was made a worker, and some call of its last moments goes on.
                    tracing::debug!(%caller, ?from, %denied, "call denied");
                } else {
                    tracing::warn!(%caller, ?from, %denied, "call denied");
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
