//! Where output of tasks comes from, as the API sees it.

use futures::stream::BoxStream;
use weft_proto::TaskId;
use weft_proto::time::Timestamp;
use weft_proto::wire::LogLine;

/// Which lines of which tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// Go on with new lines until the reader goes away.
    pub follow: bool,
    /// How many of the last lines of each task; `None`: all that are kept.
    pub tail: Option<u32>,
    /// Only lines that were written then or later.
    pub since: Option<Timestamp>,
}

/// Hands out lines that tasks wrote, wherever they run.
pub trait LogSource: Send + Sync {
    /// The lines, of each task in the order it wrote them. What cannot be read, because a node does
    /// not answer or no longer has it, comes as a line with a `note`; the stream goes on. Dropping
    /// the stream ends the query.
    fn logs(&self, query: LogQuery) -> BoxStream<'static, LogLine>;
}
