//! The settings that every listening tonic server of the cluster shares.

use std::time::Duration;

use tonic::transport::Server;

/// A client that vanished is noticed within twice this: 10 s. Longer than the callers' own
/// interval, so that a live connection is not asked from both ends.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Calls at one time on one connection. An agent has a handful, a manager's Raft some dozens; one
/// peer must not be able to make thousands.
const MAX_STREAMS: u32 = 512;

/// A tonic server with the cluster's settings, for use with
/// [`serve_incoming`](crate::serve_incoming).
pub fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(MAX_STREAMS)
}
