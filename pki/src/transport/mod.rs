//! Connections on which both sides know who the other is.

mod accept;
mod connect;
mod ending;
mod error;
mod peer;
mod removed;
mod server;

pub use accept::serve_incoming;
pub use connect::Expect;
pub use connect::channel;
pub use connect::enrol_channel;
pub use connect::user_channel;
pub use error::ConnectError;
pub use error::connect_error;
pub use error::explain;
pub use peer::PeerIdentity;
pub use peer::ServerStream;
pub use peer::peer_of;
pub use removed::removed_status;
pub use removed::says_removed;
pub use server::server;
