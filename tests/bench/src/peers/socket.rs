//! Connections to a member's socket: the same stack for every peer.

use anyhow::Context;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::service_fn;

/// Longest time for one answer: what takes longer has failed.
const ANSWER: Duration = Duration::from_secs(15);

/// A connection of its own to the socket at `path`, made now.
pub(crate) async fn connect(path: &Path) -> anyhow::Result<Channel> {
    let socket = path.to_owned();
    let connector = service_fn(move |_| {
        let path = socket.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The name is never looked up: the connector knows where to go.
    Endpoint::from_static("http://localhost")
        .timeout(ANSWER)
        .connect_with_connector(connector)
        .await
        .with_context(|| format!("connect to {}", path.display()))
}
