//! Output of tasks, as the API asks for it.

use futures::Stream;
use std::pin::Pin;
use weft_proto::TaskId;
use weft_proto::wire;

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
    fn logs(&self, query: LogQuery) -> Pin<Box<dyn Stream<Item = wire::LogLine> + Send>>;
}
