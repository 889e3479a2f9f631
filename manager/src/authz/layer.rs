//! The table in front of every service of a listener.

use crate::authz::Caller;
use crate::authz::Denied;
use crate::authz::authorize;
use futures::future::Either;
use futures::future::Ready;
use futures::future::ready;
use std::task::Context;
use std::task::Poll;
use tonic::Status;
use tower::Layer;
use tower::Service;
use weft_pki::peer_of;

/// Which listener calls come in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// The control port: callers are what their certificate says.
    Tls,
    /// The node's own socket: whoever can open it is root on this node.
    Socket,
}

/// Answers calls that the table does not allow, before any service sees them. A layer and not an
/// interceptor, since tonic's interceptors do not see which call it is.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizeLayer(Listener);

impl AuthorizeLayer {
    /// For the control port, served with [`weft_pki::serve_incoming`].
    pub fn tls() -> Self {
        Self(Listener::Tls)
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
            listener: self.0,
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
        let caller = match self.listener {
            Listener::Socket => Caller::LocalSocket,
            Listener::Tls => {
                let node = peer_of(request.extensions()).and_then(|peer| peer.node);
                Caller::from(node.map(|node| node.role))
            }
        };
        match authorize(request.uri().path(), caller) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(denied) => {
                let from = peer_of(request.extensions()).map(|peer| peer.remote);
                tracing::warn!(%caller, ?from, %denied, "call denied");
                Either::Left(ready(Ok(Status::from(denied).into_http())))
            }
        }
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
