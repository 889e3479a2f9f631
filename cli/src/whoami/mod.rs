//! `weft whoami`: a server that says who answered, for demos and tests of the network.
//!
//! `/` and every other path: plain text; `/json`: the same as JSON; `/health`: 200;
//! `/slow?ms=N`: the page after N milliseconds (at most a minute). On wish also TCP and UDP echo.

mod echo;
mod http;
mod listen;
mod report;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::net::UdpSocket;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use report::Identity;

/// How long requests under way may go on after the signal to stop: the longest `/slow` and some.
/// A runtime with less patience kills the process, which is then what its user asked for.
const DRAIN: Duration = Duration::from_secs(65);

/// What to listen on, and what the task was told about itself.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhoamiArgs {
    /// Port of the HTTP server; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    pub(crate) port: u16,
    /// Also echo on this TCP port
    #[arg(long, value_name = "PORT")]
    pub(crate) tcp_port: Option<u16>,
    /// Also echo on this UDP port
    #[arg(long, value_name = "PORT")]
    pub(crate) udp_port: Option<u16>,
    #[command(flatten)]
    pub(crate) identity: Identity,
}

/// Serves until SIGTERM or SIGINT, then lets requests under way end. Fails if a port is taken.
///
/// Handles both signals itself: as process 1 of a container it has no default action for them.
pub(crate) async fn serve(args: WhoamiArgs) -> anyhow::Result<()> {
    // Before the ports: whoever sees them open may already send the signal.
    let stop = termination()?;
    let server = Server::bind(args).await?;
    tracing::info!(http = %server.http_address()?, "whoami is listening");
    server.run(stop).await;
    Ok(())
}

/// Completes at the first SIGTERM or SIGINT from now on.
fn termination() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate()).context("failed to handle SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("failed to handle SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Sockets bound, nothing answered yet.
struct Server {
    identity: Arc<Identity>,
    http: TcpListener,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
}

impl Server {
    async fn bind(args: WhoamiArgs) -> anyhow::Result<Self> {
        let http = listen::tcp(args.port).await?;
        let tcp = match args.tcp_port {
            Some(port) => Some(listen::tcp(port).await?),
            None => None,
        };
        let udp = match args.udp_port {
            Some(port) => Some(listen::udp(port).await?),
            None => None,
        };
        Ok(Self {
            identity: Arc::new(args.identity),
            http,
            tcp,
            udp,
        })
    }

    fn http_address(&self) -> anyhow::Result<SocketAddr> {
        self.http
            .local_addr()
            .context("failed to read the address of the HTTP socket")
    }

    /// Serves until `stop`, then stops accepting and waits for HTTP requests under way, at most
    /// [`DRAIN`]. Echoes end at once: nothing tells whether their client has finished.
    async fn run(self, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let mut http = JoinSet::new();
        http.spawn(http::serve(self.http, self.identity, stopping.clone()));
        let mut echoes = JoinSet::new();
        if let Some(tcp) = self.tcp {
            echoes.spawn(echo::tcp(tcp));
        }
        if let Some(udp) = self.udp {
            echoes.spawn(echo::udp(udp));
        }
        stop.await;
        stopping.cancel();
        drop(echoes);
        if timeout(DRAIN, http.join_all()).await.is_err() {
            tracing::warn!("requests were still under way at the end of the drain time");
        }
    }
}
