//! Queries over all managers.

use crate::logs::LogBroker;
use crate::logs::LogLines;
use crate::logs::LogQuery;
use crate::logs::LogSource;
use crate::logs::broker::by_node;
use crate::logs::note;
use crate::store::View;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::ready;
use futures::stream;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use weft_proto::NodeId;
use weft_proto::object::NodeState;
use weft_proto::object::Task;
use weft_proto::wire;
use weft_proto::wire::peer_client::PeerClient;

/// How long other managers have to say whose agents they hold: several round trips between sites.
const CLAIMED_WITHIN: Duration = Duration::from_secs(1);
/// How long another manager has to take the call at all.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// The other managers.
pub trait Peers: Send + Sync {
    /// A channel to each of them, this one left out.
    fn channels(&self) -> Vec<(NodeId, Channel)>;
}

/// Output of tasks anywhere: from the sessions of this manager, and through the other managers.
pub struct ClusterLogs {
    broker: Arc<LogBroker>,
    peers: Arc<dyn Peers>,
}

impl fmt::Debug for ClusterLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterLogs").finish_non_exhaustive()
    }
}

type Unclaimed = BTreeMap<NodeId, Vec<Arc<Task>>>;

/// Tasks that no manager can read so far.
struct Search {
    view: View,
    unclaimed: Mutex<Unclaimed>,
    /// Other managers that have not answered in full.
    asked: AtomicUsize,
    /// Cancelled when there is nothing to wait for.
    over: CancellationToken,
}

impl ClusterLogs {
    /// Over the sessions of `broker` and of `peers`.
    pub fn new(broker: Arc<LogBroker>, peers: Arc<dyn Peers>) -> Self {
        ClusterLogs { broker, peers }
    }
}

impl LogSource for ClusterLogs {
    fn logs(&self, query: LogQuery) -> LogLines {
        let view = self.broker.store.view();
        let mut streams: Vec<LogLines> = Vec::new();
        let mut unclaimed = by_node(&view, &query.tasks);
        unclaimed.retain(|node, tasks| match self.broker.read(*node, tasks, &query) {
            Some(lines) => {
                streams.push(lines);
                false
            }
            None => true,
        });
        if !unclaimed.is_empty() {
            let peers = self.peers.channels();
            let wanted: Vec<String> = unclaimed
                .values()
                .flatten()
                .map(|task| task.id.to_string())
                .collect();
            let search = Arc::new(Search {
                view,
                unclaimed: Mutex::new(unclaimed),
                asked: AtomicUsize::new(peers.len()),
                over: CancellationToken::new(),
            });
            if peers.is_empty() {
                search.over.cancel();
            }
            for (manager, channel) in peers {
                let request = wire::RelayLogsRequest {
                    task_ids: wanted.clone(),
                    follow: query.follow,
                    tail: query.tail,
                    all: query.all,
                    since_ms: query.since_ms,
                };
                streams.push(relayed(Arc::clone(&search), manager, channel, request));
            }
            streams.push(unreadable(search));
        }
        stream::select_all(streams).boxed()
    }
}

/// What another manager relays. Its claims are taken out.
fn relayed(
    search: Arc<Search>,
    manager: NodeId,
    channel: Channel,
    request: wire::RelayLogsRequest,
) -> LogLines {
    let heard = Arc::clone(&search);
    let call = async move {
        let mut client = PeerClient::new(channel);
        let answer = tokio::time::timeout(ANSWERED_WITHIN, client.relay_logs(request)).await;
        match answer {
            Ok(Ok(lines)) => lines.into_inner().boxed(),
            // What it holds, if anything, nobody claims: `unreadable` tells of it.
            Ok(Err(_)) | Err(_) => stream::empty().boxed(),
        }
    };
    let lines = call.flatten_stream().filter_map(move |line| {
        ready(match line {
            Ok(line) if is_claim(&line) => {
                heard.claimed(&line.task_id);
                None
            }
            Ok(line) => Some(line),
            Err(status) => {
                let text = format!("a manager stopped relaying logs: {}", status.message());
                Some(note(manager, text))
            }
        })
    });
    let end = stream::once(async move { search.answered() }).filter_map(|()| ready(None));
    lines.chain(end).boxed()
}

/// A note for each node that no manager can read.
fn unreadable(search: Arc<Search>) -> LogLines {
    let notes = async move {
        let _ = tokio::time::timeout(CLAIMED_WITHIN, search.over.cancelled()).await;
        stream::iter(search.notes())
    };
    notes.flatten_stream().boxed()
}

fn is_claim(line: &wire::LogLine) -> bool {
    // A line of a task carries its time.
    line.at_ms == 0 && line.node_id.is_empty() && line.note.is_empty() && line.line.is_empty()
}

impl Search {
    fn claimed(&self, task: &str) {
        let mut unclaimed = self.unclaimed.lock();
        unclaimed.retain(|_, tasks| {
            tasks.retain(|other| other.id.as_str() != task);
            !tasks.is_empty()
        });
        if unclaimed.is_empty() {
            self.over.cancel();
        }
    }

    fn answered(&self) {
        if self.asked.fetch_sub(1, Ordering::Relaxed) <= 1 {
            self.over.cancel();
        }
    }

    fn notes(&self) -> Vec<wire::LogLine> {
        let unclaimed = std::mem::take(&mut *self.unclaimed.lock());
        unclaimed
            .into_iter()
            .map(|(node, tasks)| {
                let known = self.view.node(node);
                let host = known.map_or(node.short(), |node| node.description.hostname.as_str());
                let why = match known.map(|node| node.status.state) {
                    None => format!("node {host} was removed"),
                    Some(NodeState::Down) => format!("node {host} is down"),
                    Some(NodeState::Ready | NodeState::Unknown) => {
                        format!("node {host} holds no session with any manager")
                    }
                };
                let names: Vec<String> = tasks.iter().map(|task| task.name()).collect();
                note(
                    node,
                    format!("{why}: logs of {} cannot be read", names.join(", ")),
                )
            })
            .collect()
    }
}
