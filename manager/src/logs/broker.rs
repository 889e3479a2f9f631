//! Queries at the sessions of this manager.

use crate::logs::LocalLogs;
use crate::logs::LogLines;
use crate::logs::LogQuery;
use crate::logs::note;
use crate::logs::subscription::Reader;
use crate::logs::subscription::Source;
use crate::store::State;
use crate::store::Store;
use futures::StreamExt;
use futures::stream;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::object::Task;
use weft_proto::wire;
use weft_proto::wire::manager_message::Kind as ToAgent;

/// Requests and cancellations that wait for an agent that reads slowly.
const REQUESTS: usize = 64;

/// Finds the sessions that can read tasks' output, and hands lines to readers.
pub struct LogBroker {
    pub(super) store: Arc<Store>,
    sessions: Arc<Sessions>,
}

impl fmt::Debug for LogBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBroker").finish_non_exhaustive()
    }
}

/// A session's place at the broker. Dropping it ends the queries at that session.
#[derive(Debug)]
pub struct SessionLogs {
    node: NodeId,
    place: u64,
    sessions: Arc<Sessions>,
}

/// The sessions and the queries at them.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    /// The last number given to a session or query; never given twice.
    last: u64,
    sessions: BTreeMap<NodeId, (u64, mpsc::Sender<ToAgent>)>,
    /// By the session's place and the query's number.
    queries: BTreeMap<u64, (u64, NodeId, Source)>,
}

impl LogBroker {
    /// Without sessions yet.
    pub fn new(store: Arc<Store>) -> Self {
        LogBroker {
            store,
            sessions: Arc::default(),
        }
    }

    /// A session began. What the receiver yields must be sent to the agent.
    pub(crate) fn attach(&self, node: NodeId) -> (SessionLogs, mpsc::Receiver<ToAgent>) {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let mut tables = self.sessions.tables.lock();
        tables.last += 1;
        let place = tables.last;
        tables.sessions.insert(node, (place, requests));
        let logs = SessionLogs {
            node,
            place,
            sessions: Arc::clone(&self.sessions),
        };
        (logs, receiver)
    }

    /// Lines of tasks of one node; `None` when its agent holds no session here.
    pub(super) fn read(
        &self,
        node: NodeId,
        tasks: &[Arc<Task>],
        query: &LogQuery,
    ) -> Option<LogLines> {
        let names = tasks.iter().map(|task| (task.id.to_string(), task.name()));
        let (source, lines) = Source::new(node, names.collect());
        let mut tables = self.sessions.tables.lock();
        tables.last += 1;
        let id = tables.last;
        let (place, session) = tables.sessions.get(&node)?;
        let request = ToAgent::LogRequest(wire::LogRequest {
            subscription: id,
            task_ids: tasks.iter().map(|task| task.id.to_string()).collect(),
            follow: query.follow,
            tail: query.tail,
            all: query.all,
            since_ms: query.since_ms,
        });
        match session.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return None,
            Err(mpsc::error::TrySendError::Full(_)) => {
                let text = "the node is busy: its logs cannot be read now, try again".to_owned();
                return Some(stream::iter([note(node, text)]).boxed());
            }
        }
        let place = *place;
        tables.queries.insert(id, (place, node, source));
        let reader = Reader {
            id,
            sessions: Arc::downgrade(&self.sessions),
            lines,
            at_hand: Vec::new().into_iter(),
        };
        Some(reader.boxed())
    }
}

impl LocalLogs for LogBroker {
    /// Lines of those of the tasks whose agents hold a session with this manager. Tells first, by one line each with nothing but the task's id, which
    /// tasks those are. Empty when there are none.
    fn relay(&self, request: wire::RelayLogsRequest) -> LogLines {
        let query = LogQuery {
            tasks: parse(&request.task_ids),
            follow: request.follow,
            tail: request.tail,
            all: request.all,
            since_ms: request.since_ms,
        };
        let view = self.store.view();
        let mut streams: Vec<LogLines> = Vec::new();
        for (node, tasks) in by_node(&view, &query.tasks) {
            let claims = tasks.iter().map(|task| claim(task.id)).collect::<Vec<_>>();
            if let Some(lines) = self.read(node, &tasks, &query) {
                streams.push(stream::iter(claims).chain(lines).boxed());
            }
        }
        stream::select_all(streams).boxed()
    }
}

impl Sessions {
    /// Nobody reads a query any more.
    pub(super) fn cancel(&self, id: u64) {
        let mut tables = self.tables.lock();
        if let Some((place, node, _)) = tables.queries.remove(&id) {
            tables.tell_cancelled(place, node, id);
        }
    }
}

impl Tables {
    /// If the agent cannot be told now, it is told when it sends the next chunk.
    fn tell_cancelled(&self, place: u64, node: NodeId, id: u64) {
        if let Some((current, session)) = self.sessions.get(&node)
            && *current == place
        {
            let cancel = wire::LogCancel { subscription: id };
            let _ = session.try_send(ToAgent::LogCancel(cancel));
        }
    }
}

impl SessionLogs {
    /// Lines came from the agent. Never waits.
    pub(crate) fn deliver(&self, chunk: wire::LogChunk) {
        let id = chunk.subscription;
        let mut tables = self.sessions.tables.lock();
        // An agent writes to queries of its own session only.
        let known = tables
            .queries
            .get_mut(&id)
            .filter(|(place, ..)| *place == self.place);
        let wanted = known.is_some_and(|(_, _, source)| {
            if !chunk.lines.is_empty() {
                source.deliver(chunk.lines);
            }
            !source.is_unread()
        });
        if !wanted && !chunk.end {
            tables.tell_cancelled(self.place, self.node, id);
        }
        let own = tables
            .queries
            .get(&id)
            .is_some_and(|(place, ..)| *place == self.place);
        if own && chunk.end {
            tables.queries.remove(&id);
        }
    }
}

impl Drop for SessionLogs {
    fn drop(&mut self) {
        let mut tables = self.sessions.tables.lock();
        // A newer session may have the node's place already.
        let current = tables.sessions.get(&self.node);
        if current.is_some_and(|(place, _)| *place == self.place) {
            tables.sessions.remove(&self.node);
        }
        let place = self.place;
        tables.queries.retain(|_, (of, _, source)| {
            if *of == place {
                source.abandon();
            }
            *of != place
        });
    }
}

/// Tasks that have a node, by node.
pub(super) fn by_node(view: &State, tasks: &[TaskId]) -> BTreeMap<NodeId, Vec<Arc<Task>>> {
    let mut nodes: BTreeMap<NodeId, Vec<Arc<Task>>> = BTreeMap::new();
    for task in tasks.iter().filter_map(|id| view.task(*id)) {
        if let Some(node) = task.node {
            nodes.entry(node).or_default().push(Arc::clone(task));
        }
    }
    nodes
}

fn claim(task: TaskId) -> wire::LogLine {
    wire::LogLine {
        task_id: task.to_string(),
        ..wire::LogLine::default()
    }
}

fn parse(tasks: &[String]) -> Vec<TaskId> {
    tasks.iter().filter_map(|id| id.parse().ok()).collect()
}
