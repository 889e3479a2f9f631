//! Output of tasks: from agents, through whichever managers hold their sessions, to readers.

mod broker;
mod cluster;
mod follow;
mod subscription;

#[cfg(test)]
mod tests;

pub use broker::LogBroker;
pub use broker::SessionLogs;
pub use cluster::ClusterLogs;
pub use cluster::Peers;
pub use follow::Followed;
pub use follow::follow;

use futures::Stream;
use std::pin::Pin;
use weft_proto::TaskId;
use weft_proto::wire;

/// Lines on their way to a reader. Dropping it ends the query everywhere.
pub type LogLines = Pin<Box<dyn Stream<Item = wire::LogLine> + Send>>;

/// Which lines of which tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// Go on with new lines until the reader goes away.
    pub follow: bool,
    /// How many of the last lines of each task; without meaning when `all`.
    pub tail: u32,
    /// All lines that are kept.
    pub all: bool,
    /// Only lines written then or later, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// Hands out lines that tasks wrote, wherever they run.
pub trait LogSource: Send + Sync {
    /// The lines, of each task in the order it wrote them. What cannot be read comes as a line with
    /// a `note`, and the stream goes on. Dropping the stream ends the query.
    fn logs(&self, query: LogQuery) -> LogLines;
}

/// Reads logs of tasks whose agents hold a session here: what another manager may ask for.
pub trait LocalLogs: Send + Sync {
    /// The lines, as they come.
    fn relay(&self, request: wire::RelayLogsRequest) -> LogLines;
}

/// A line that is not from a task, and says what could not be read.
fn note(node: impl ToString, text: String) -> wire::LogLine {
    wire::LogLine {
        node_id: node.to_string(),
        note: text,
        ..wire::LogLine::default()
    }
}
