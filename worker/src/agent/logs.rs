//! Output of this node's tasks, sent to a manager that asked for it.

use crate::desired::Desired;
use crate::runtime::LogLine;
use crate::runtime::LogLines;
use crate::runtime::LogQuery;
use crate::runtime::LogStream;
use crate::runtime::Runtime;
use crate::runtime::RuntimeError;
use crate::runtime::Tail;
use futures::StreamExt;
use futures::stream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::UNIX_EPOCH;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tracing::warn;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind;

/// Subscriptions at one time in one session. People look at a handful; a manager's fault must not
/// take the node's memory.
const MAX_SUBSCRIPTIONS: usize = 64;
/// Lines in one message: 100 lines of at most 16 KiB stay far below the size that gRPC takes.
const MAX_LINES: usize = 100;

/// The subscriptions of one session; they end with it.
#[derive(Debug)]
pub(super) struct Logs {
    node: NodeId,
    runtime: Arc<dyn Runtime>,
    up: mpsc::Sender<wire::AgentMessage>,
    running: JoinSet<()>,
    subscriptions: BTreeMap<u64, AbortHandle>,
}

/// Whose output it is.
#[derive(Clone, Debug)]
struct Source {
    task: TaskId,
    name: String,
    node: NodeId,
}

impl Logs {
    pub(super) fn new(
        node: NodeId,
        runtime: Arc<dyn Runtime>,
        up: mpsc::Sender<wire::AgentMessage>,
    ) -> Self {
        Logs {
            node,
            runtime,
            up,
            running: JoinSet::new(),
            subscriptions: BTreeMap::new(),
        }
    }

    /// Begins to send what `request` asks for. Tasks that are not here are left out.
    pub(super) fn open(&mut self, request: wire::LogRequest, desired: &Desired) {
        while self.running.try_join_next().is_some() {}
        self.subscriptions.retain(|_, handle| !handle.is_finished());
        let subscription = request.subscription;
        self.cancel(subscription);
        let up = self.up.clone();
        let handle = if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            warn!(
                subscription,
                "refused to send logs: too many are being sent already"
            );
            self.running.spawn(async move {
                // The session is over if this fails.
                let _ = up.send(chunk(subscription, Vec::new(), true)).await;
            })
        } else {
            let sources = self.sources(&request, desired);
            let query = query(&request);
            let runtime = Arc::clone(&self.runtime);
            self.running
                .spawn(send(runtime, sources, query, subscription, up))
        };
        self.subscriptions.insert(subscription, handle);
    }

    /// Ends a subscription; an unknown one has ended by itself.
    pub(super) fn cancel(&mut self, subscription: u64) {
        if let Some(handle) = self.subscriptions.remove(&subscription) {
            handle.abort();
        }
    }

    fn sources(&self, request: &wire::LogRequest, desired: &Desired) -> Vec<Source> {
        let ids = request.task_ids.iter().filter_map(|id| id.parse().ok());
        let source = |task: TaskId| Source {
            task,
            name: desired
                .tasks
                .get(&task)
                .map_or_else(|| task.short().to_owned(), |task| task.name()),
            node: self.node,
        };
        ids.map(source).collect()
    }
}

fn query(request: &wire::LogRequest) -> LogQuery {
    let since = u64::try_from(request.since_ms).ok().filter(|ms| *ms > 0);
    LogQuery {
        tail: if request.all {
            Tail::All
        } else {
            Tail::Last(usize::try_from(request.tail).unwrap_or(usize::MAX))
        },
        follow: request.follow,
        since: since.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
    }
}

async fn send(
    runtime: Arc<dyn Runtime>,
    sources: Vec<Source>,
    query: LogQuery,
    subscription: u64,
    up: mpsc::Sender<wire::AgentMessage>,
) {
    let mut all = Vec::new();
    for source in sources {
        match runtime.logs(source.task, query).await {
            Ok(lines) => all.push(labelled(source, lines)),
            // Assigned and not prepared yet, or removed meanwhile: it has no output.
            Err(RuntimeError::UnknownTask(_)) => {}
            Err(error) => {
                let note = source.note(&error);
                all.push(stream::once(std::future::ready(note)).boxed());
            }
        }
    }
    let mut batches = stream::select_all(all).ready_chunks(MAX_LINES);
    while let Some(lines) = batches.next().await {
        // A full queue slows the reader down, never the task. The session is over on an error.
        if up.send(chunk(subscription, lines, false)).await.is_err() {
            return;
        }
    }
    let _ = up.send(chunk(subscription, Vec::new(), true)).await;
}

fn labelled(source: Source, lines: LogLines) -> stream::BoxStream<'static, wire::LogLine> {
    let label = move |line: Result<LogLine, RuntimeError>| match line {
        Ok(line) => source.line(&line),
        Err(error) => source.note(&error),
    };
    lines.map(label).boxed()
}

impl Source {
    fn line(&self, line: &LogLine) -> wire::LogLine {
        wire::LogLine {
            task_id: self.task.to_string(),
            task_name: self.name.clone(),
            node_id: self.node.to_string(),
            at_ms: Timestamp::from(line.time).as_millis(),
            stderr: line.stream == LogStream::Stderr,
            line: line.bytes.to_vec(),
            note: String::new(),
        }
    }

    /// Why there is no more output, for who reads it.
    fn note(&self, error: &RuntimeError) -> wire::LogLine {
        warn!(task = %self.task, %error, "output ends here");
        wire::LogLine {
            task_id: self.task.to_string(),
            task_name: self.name.clone(),
            node_id: self.node.to_string(),
            note: error.to_string(),
            ..wire::LogLine::default()
        }
    }
}

fn chunk(subscription: u64, lines: Vec<wire::LogLine>, end: bool) -> wire::AgentMessage {
    wire::AgentMessage {
        kind: Some(Kind::Log(wire::LogChunk {
            subscription,
            lines,
            end,
        })),
    }
}
