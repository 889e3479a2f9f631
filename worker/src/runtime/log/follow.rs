//! Log lines as a stream, waiting for more while the task lives.

use super::LogLine;
use super::LogLines;
use super::LogQuery;
use super::reader::LogReader;
use crate::runtime::RuntimeError;
use crate::runtime::dir_watch::DirWatch;
use crate::runtime::task_dir::TaskDir;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use std::io;
use weft_proto::TaskId;

struct State {
    dir: TaskDir,
    reader: LogReader,
    /// Present while more is waited for.
    watch: Option<DirWatch>,
}

/// The lines a query asks for. Followed, the stream ends with the task.
pub(crate) async fn stream(task: TaskId, dir: TaskDir, query: LogQuery) -> io::Result<LogLines> {
    // Watched before read, so that nothing written in between is missed.
    let watch = query
        .follow
        .then(|| DirWatch::new(dir.path()))
        .transpose()?;
    let path = dir.path().to_owned();
    let reader = blocking(move || LogReader::open(&path, query)).await?;
    let batches = stream::try_unfold(State { dir, reader, watch }, next_batch);
    Ok(batches
        .map_ok(|lines| stream::iter(lines.into_iter().map(Ok)))
        .try_flatten()
        .map_err(move |source| RuntimeError::Logs { task, source })
        .boxed())
}

async fn next_batch(mut state: State) -> io::Result<Option<(Vec<LogLine>, State)>> {
    loop {
        // Asked before reading: what was written before the end is then certainly read.
        let ended = !state.dir.path().exists() || state.dir.exit()?.is_some();
        let (reader, batch) = blocking(move || {
            let mut reader = state.reader;
            let batch = reader.batch()?;
            Ok((reader, batch))
        })
        .await?;
        state.reader = reader;
        if !batch.is_empty() {
            return Ok(Some((batch, state)));
        }
        match &state.watch {
            Some(watch) if !ended => watch.changed().await?,
            Some(_) | None => return Ok(None),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
