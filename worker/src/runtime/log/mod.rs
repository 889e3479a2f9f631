//! Output of tasks: written by the supervisor, read by the daemon.
//!
//! Files `log.<n>`, rising `n`; each line is `<RFC 3339 time> stdout|stderr F|P <bytes>`, the
//! format Kubernetes runtimes write, so that log collectors understand it and people can read it
//! with `cat`. `P` marks a piece of a line that goes on in the next record.

mod follow;
mod format;
mod reader;
mod timestamp;
mod writer;

pub(crate) use follow::stream;
pub(crate) use writer::LogWriter;

use crate::runtime::RuntimeError;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

/// Size at which a file is closed and the next begun, in bytes; with [`FILES_KEPT`] the most
/// disk a task's output takes.
pub(crate) const FILE_BYTES: u64 = 10 << 20;

/// Files kept, the one being written among them.
pub(crate) const FILES_KEPT: usize = 3;

/// Longest record, in bytes; a longer line becomes several. Docker cuts at the same length.
pub(crate) const RECORD_BYTES: usize = 16 << 10;

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output, or a piece of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When the supervisor read it.
    pub time: SystemTime,
    /// Where it was written to.
    pub stream: LogStream,
    /// The text without its line end; not necessarily UTF-8.
    pub bytes: Bytes,
    /// Whether the line goes on in the next record of this stream.
    pub partial: bool,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// With the oldest line kept.
    #[default]
    All,
    /// With the last so many lines.
    Last(usize),
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Where to begin.
    pub tail: Tail,
    /// Whether to wait for more until the task has ended.
    pub follow: bool,
    /// Leave out lines older than this.
    pub since: Option<SystemTime>,
}

/// Lines as they are read; ends after the first error.
pub type LogLines = BoxStream<'static, Result<LogLine, RuntimeError>>;

fn file(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("log.{number}"))
}

/// Numbers of the files there are, rising.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // The task was removed while its output was read: there is no more.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("log."));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
