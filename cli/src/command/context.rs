//! What every command is handed.

use crate::client::Client;
use crate::client::Unreachable;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::time::Timestamp;

/// Which daemon, what time it is, and whether a person watches.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) socket: PathBuf,
    clock: Arc<dyn Clock>,
    /// Progress may be drawn over and over in the same place.
    pub(super) terminal: bool,
}

impl Context {
    pub(super) fn new(socket: PathBuf) -> Self {
        Context {
            socket,
            clock: Arc::new(SystemClock),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.timestamp()
    }

    /// The name of a request that may be sent again.
    pub(super) fn request_id(&self) -> String {
        format!("cli-{:032x}", rand::random::<u128>())
    }

    pub(super) async fn connect(&self) -> Result<Client, Unreachable> {
        Client::connect(&self.socket).await
    }
}
