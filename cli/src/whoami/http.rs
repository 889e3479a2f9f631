//! The HTTP/1.1 side.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use ::http::Response;
use ::http::StatusCode;
use ::http::header::CONTENT_TYPE;
use ::http::header::HeaderValue;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::report::Identity;
use super::report::Report;

/// The longest `/slow` waits; more is cut to this, so that a drain has an end.
const SLOWEST: Duration = Duration::from_secs(60);

/// How long a client may take to send its headers, and an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after a failed accept (out of descriptors, mostly), so as not to spin.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Serves until `stopping`, then returns when the last request is answered.
pub(super) async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    stopping: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Both arms are cancel-safe: an accept that is dropped has taken no connection.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, client)) => {
                connections.spawn(converse(
                    stream,
                    client,
                    Arc::clone(&identity),
                    stopping.clone(),
                ));
            }
            Err(error) => {
                tracing::debug!(%error, "http socket failed to accept");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
    // Closed first: callers shall be refused, not left in a queue nobody empties.
    drop(listener);
    connections.join_all().await;
}

async fn converse(
    stream: TcpStream,
    client: SocketAddr,
    identity: Arc<Identity>,
    stopping: CancellationToken,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let service = service_fn(|request| answer(request, &identity, client, local));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "http connection ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    identity: &Identity,
    client: SocketAddr,
    local: SocketAddr,
) -> Result<Response<String>, Infallible> {
    let report = Report::new(hostname(), identity, client, local, &request);
    let uri = request.uri();
    if uri.path() != "/health" {
        log(&report);
    }
    Ok(match uri.path() {
        "/health" => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/json" => match serde_json::to_string_pretty(&report) {
            Ok(json) => respond(StatusCode::OK, JSON, json + "\n"),
            Err(error) => respond(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            ),
        },
        "/slow" => match slowness(uri.query()) {
            Some(delay) => {
                sleep(delay).await;
                respond(StatusCode::OK, TEXT, report.to_string())
            }
            None => respond(
                StatusCode::BAD_REQUEST,
                TEXT,
                "usage: /slow?ms=NUMBER\n".to_owned(),
            ),
        },
        // Every other path too: behind a router it is the path that one wants to see.
        _ => respond(StatusCode::OK, TEXT, report.to_string()),
    })
}

/// One line per request on standard output, so that `weft service logs` has something to show. Who
/// reads it may be gone; that is no reason to answer less.
fn log(report: &Report<'_>) {
    drop(writeln!(
        std::io::stdout(),
        "{} {}",
        report.client,
        report.request
    ));
}

fn respond(status: StatusCode, kind: HeaderValue, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The delay that `ms=N` asks for, at most [`SLOWEST`].
pub(super) fn slowness(query: Option<&str>) -> Option<Duration> {
    let ms = query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("ms="))?;
    Some(Duration::from_millis(ms.parse().ok()?).min(SLOWEST))
}

fn hostname() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
