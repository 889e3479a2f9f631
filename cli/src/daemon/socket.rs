//! The daemon's own socket: for whoever is root on this node.

use crate::daemon::paths::Paths;
use anyhow::Context;
use arc_swap::ArcSwapOption;
use std::convert::Infallible;
use std::fs;
use std::fs::Permissions;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::task::Poll;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::Service;
use weft_manager::authz::AuthorizeLayer;
use weft_proto::wire::local_server::LocalServer;

/// The services of a cluster that this node answers, as it changes between none, worker, manager.
#[derive(Debug, Default)]
pub(crate) struct ControlSwitch {
    routes: ArcSwapOption<Routes>,
    refusal: ArcSwapOption<Refusal>,
}

impl ControlSwitch {
    /// From now on calls go here.
    pub(crate) fn connect(&self, routes: Routes) {
        self.routes.store(Some(Arc::new(routes)));
    }

    /// From now on calls are refused with this reason, asked for anew each time.
    pub(crate) fn refuse(&self, why: impl Fn() -> String + Send + Sync + 'static) {
        self.refusal.store(Some(Arc::new(Refusal(Box::new(why)))));
        self.routes.store(None);
    }
}

struct Refusal(Box<dyn Fn() -> String + Send + Sync>);

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&(self.0)())
    }
}

/// Calls to the control service, wherever it is now.
#[derive(Clone, Debug)]
struct Control(Arc<ControlSwitch>);

impl NamedService for Control {
    const NAME: &'static str = "weft.v1.Control";
}

impl Service<http::Request<Body>> for Control {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Some(routes) = self.0.routes.load_full() {
            let mut routes = Routes::clone(&routes);
            return Box::pin(async move { routes.call(request).await });
        }
        let why = self.0.refusal.load_full();
        let why = why.map_or_else(|| "this node is in no cluster".to_owned(), |why| (why.0)());
        Box::pin(async move { Ok(Status::failed_precondition(why).into_http()) })
    }
}

/// Serves the socket until `stop`. A socket that an earlier daemon left is replaced: the lock on
/// the state directory says that it is gone.
pub(crate) fn serve(
    paths: &Paths,
    local: crate::daemon::local::LocalService,
    control: Arc<ControlSwitch>,
    stop: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let path = paths.socket();
    match fs::remove_file(&path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            return Err(err).with_context(|| format!("remove the old {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    // The directory is closed to everybody else, so nobody gets in before the mode is set.
    let listener =
        UnixListener::bind(&path).with_context(|| format!("listen on {}", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))
        .with_context(|| format!("close {} to others", path.display()))?;
    let serving = Server::builder()
        .layer(AuthorizeLayer::local())
        .add_service(LocalServer::new(local))
        .add_service(Control(control))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async move {
            stop.cancelled().await;
        });
    Ok(tokio::spawn(async move {
        if let Err(err) = serving.await {
            tracing::error!(%err, "the socket's server ended");
        }
    }))
}
