//! Watchers that follow the state on every manager, lose their connection, and resume.

use crate::node::Node;
use crate::node::register;
use crate::record::Seen as Content;
use anyhow::Context;
use anyhow::bail;
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeMap;
use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use weft_history::Change;
use weft_history::Ledger;
use weft_history::Seen;
use weft_history::Stream;
use weft_history::WatcherId;
use weft_history::check_stream;
use weft_proto::wire;
use weft_proto::wire::object::Kind;
use weft_proto::wire::object_key::Kind as KeyKind;
use weft_proto::wire::watch_event::Kind as Event;
use weft_proto::wire::watch_step::Kind as Step;

/// Before a watcher that lost its manager tries again.
const AGAIN: Duration = Duration::from_millis(50);

/// What one watcher was told so far.
#[derive(Debug, Default)]
struct Book {
    seen: Vec<Seen>,
    contents: Vec<(u32, Content)>,
    position: u64,
    resumed: u64,
    resyncs: u64,
    /// What was wrong at once, without looking at other watchers.
    wrong: Option<String>,
}

/// Watchers at work: one that stays with each manager, and one that moves on to the next manager
/// whenever it loses one.
#[derive(Debug)]
pub struct Watchers {
    base: (u64, BTreeMap<String, String>),
    books: Vec<Arc<Mutex<Book>>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// What all watchers were told, found to be right.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Contents of registers.
    pub contents: Vec<(u32, Content)>,
    /// Changes told to all of them together.
    pub changes: usize,
    /// How often one of them resumed.
    pub resumed: u64,
    /// How often one was given a whole state because its changes were no longer kept.
    pub resyncs: u64,
    /// How many there were.
    pub watchers: usize,
}

impl Watchers {
    /// Starts them. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// When the first manager does not tell what there is.
    pub async fn start(sockets: &[PathBuf]) -> anyhow::Result<Watchers> {
        let nodes: Vec<Node> = sockets.iter().map(|socket| Node::new(socket)).collect();
        let first = nodes.first().context("no manager")?;
        let base = base(first).await.context("what there is at first")?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut books = Vec::new();
        let homes = nodes.iter().map(|node| vec![node.clone()]);
        for homes in homes.chain([nodes.clone()]) {
            let book = Arc::new(Mutex::new(Book {
                position: base.0,
                ..Book::default()
            }));
            books.push(Arc::clone(&book));
            let watcher = follow(homes, book);
            let stop = stop.clone();
            tasks.spawn(async move {
                stop.run_until_cancelled(watcher).await;
            });
        }
        Ok(Watchers {
            base,
            books,
            tasks,
            stop,
        })
    }

    /// The revision that every watcher has.
    pub fn position(&self) -> u64 {
        let positions = self.books.iter().map(|book| book.lock().position);
        positions.min().unwrap_or(0)
    }

    /// Ends them and judges what they were told.
    ///
    /// # Errors
    /// The first thing that one of them should not have been told, or was not told.
    pub async fn finish(mut self) -> anyhow::Result<Watched> {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let mut watched = Watched {
            watchers: self.books.len(),
            ..Watched::default()
        };
        let mut streams = Vec::new();
        for (number, book) in (0..).zip(&self.books) {
            let mut book = book.lock();
            if let Some(wrong) = book.wrong.take() {
                bail!("watcher {number}: {wrong}");
            }
            watched.contents.append(&mut book.contents);
            watched.resumed += book.resumed;
            watched.resyncs += book.resyncs;
            let (watcher, seen) = (WatcherId(number), std::mem::take(&mut book.seen));
            streams.push(Stream { watcher, seen });
        }
        watched.changes = judge(self.base, &streams)?;
        Ok(watched)
    }
}

/// Holds every stream against the history that all of them tell together. Returns its length.
fn judge(base: (u64, BTreeMap<String, String>), streams: &[Stream]) -> anyhow::Result<usize> {
    let (revision, state) = base;
    let made = state.into_iter().map(|(key, value)| Change {
        key,
        value: Some(value),
    });
    let mut truth = Ledger::new();
    let mut revisions = std::collections::BTreeSet::new();
    drop(truth.enter(revision, made.collect()));
    for stream in streams {
        for seen in &stream.seen {
            let Seen::Changes { revision, changes } = seen else {
                continue;
            };
            revisions.insert(*revision);
            if let Err(other) = truth.enter(*revision, changes.clone()) {
                bail!("revision {revision} was told as {changes:?} and as {other:?}");
            }
        }
    }
    for stream in streams {
        check_stream(stream, &truth)?;
    }
    Ok(revisions.len())
}

/// All there is, and its revision.
async fn base(node: &Node) -> anyhow::Result<(u64, BTreeMap<String, String>)> {
    let request = wire::WatchRequest::default();
    let mut events = node.control().watch(request).await?.into_inner();
    let mut state = BTreeMap::new();
    while let Some(event) = events.message().await? {
        let Some(Event::Snapshot(portion)) = event.kind else {
            bail!("a watch began without a snapshot: {event:?}");
        };
        state.extend(portion.objects.iter().filter_map(entry));
        if portion.last {
            return Ok((portion.revision, state));
        }
    }
    bail!("a watch ended within its snapshot")
}

/// Follows from where the book is, on one manager after the other, for ever.
async fn follow(nodes: Vec<Node>, book: Arc<Mutex<Book>>) {
    for node in nodes.iter().cycle() {
        let after = book.lock().position;
        let request = wire::WatchRequest {
            since_revision: after,
            kinds: Vec::new(),
        };
        if let Ok(answer) = node.control().watch(request).await {
            {
                let mut book = book.lock();
                book.seen.push(Seen::Began { after });
                book.resumed += 1;
            }
            listen(answer.into_inner(), &book).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Takes down what one connection tells, until it breaks.
async fn listen(mut events: Streaming<wire::WatchEvent>, book: &Mutex<Book>) {
    let mut snapshot = BTreeMap::new();
    while let Ok(Some(event)) = events.message().await {
        let mut book = book.lock();
        match event.kind {
            Some(Event::Snapshot(portion)) => {
                let contents = portion.objects.iter().filter_map(content);
                book.contents.extend(contents);
                snapshot.extend(portion.objects.iter().filter_map(entry));
                if portion.last {
                    let (revision, state) = (portion.revision, std::mem::take(&mut snapshot));
                    book.seen.push(Seen::Snapshot { revision, state });
                    book.position = revision;
                }
            }
            Some(Event::Change(change)) => book.change(&change),
            Some(Event::Progress(progress)) => {
                let revision = progress.revision;
                book.seen.push(Seen::Progress { revision });
                book.position = revision;
            }
            Some(Event::Resync(_)) => book.resyncs += 1,
            None => book.wrong = Some("an event of an unknown kind".to_owned()),
        }
    }
}

impl Book {
    fn change(&mut self, change: &wire::WatchChange) {
        let (revision, previous, position) = (change.revision, change.previous, self.position);
        if previous > position {
            let gap = format!("revision {revision} follows {previous}, but {position} was told");
            self.wrong.get_or_insert(gap);
        }
        let mut changes = Vec::new();
        for step in &change.steps {
            match &step.kind {
                Some(Step::Put(object)) => {
                    self.contents.extend(content(object));
                    changes.extend(entry(object).map(|(key, value)| Change {
                        key,
                        value: Some(value),
                    }));
                }
                Some(Step::Deleted(deleted)) => {
                    let key = deleted.key.as_ref().and_then(key_of);
                    changes.extend(key.map(|key| Change { key, value: None }));
                }
                None => self.wrong = Some("a step of an unknown kind".to_owned()),
            }
        }
        self.seen.push(Seen::Changes { revision, changes });
        self.position = revision;
    }
}

/// The content of a register, if that is what the object is.
fn content(object: &wire::Object) -> Option<(u32, Content)> {
    match object.kind.as_ref()? {
        Kind::Service(service) => register(service),
        Kind::Cluster(_)
        | Kind::Node(_)
        | Kind::Network(_)
        | Kind::Task(_)
        | Kind::Secret(_)
        | Kind::Config(_)
        | Kind::KeyRing(_)
        | Kind::User(_)
        | Kind::JoinToken(_) => None,
    }
}

/// An object as a key and a text that is equal for equal objects only.
fn entry(object: &wire::Object) -> Option<(String, String)> {
    let (key, version) = match object.kind.as_ref()? {
        Kind::Cluster(cluster) => ("cluster".to_owned(), cluster.meta.as_ref()?.version),
        Kind::Node(node) => (format!("node/{}", node.id), node.meta.as_ref()?.version),
        Kind::Network(network) => (
            format!("network/{}", network.id),
            network.meta.as_ref()?.version,
        ),
        Kind::Service(service) => (
            format!("service/{}", service.id),
            service.meta.as_ref()?.version,
        ),
        Kind::Task(task) => (format!("task/{}", task.id), task.meta.as_ref()?.version),
        Kind::User(user) => (format!("user/{}", user.id), user.meta.as_ref()?.version),
        Kind::JoinToken(token) => (
            format!("join-token/{}", token.id),
            token.meta.as_ref()?.version,
        ),
        Kind::Secret(secret) => (
            format!("secret/{}", secret.id),
            secret.meta.as_ref()?.version,
        ),
        Kind::Config(config) => (
            format!("config/{}", config.id),
            config.meta.as_ref()?.version,
        ),
        Kind::KeyRing(ring) => ("keys".to_owned(), ring.meta.as_ref()?.version),
    };
    let mut hasher = DefaultHasher::new();
    hasher.write(&object.encode_to_vec());
    Some((key, format!("{version}:{:x}", hasher.finish())))
}

fn key_of(key: &wire::ObjectKey) -> Option<String> {
    Some(match key.kind.as_ref()? {
        KeyKind::Cluster(_) => "cluster".to_owned(),
        KeyKind::Node(id) => format!("node/{id}"),
        KeyKind::Network(id) => format!("network/{id}"),
        KeyKind::Service(id) => format!("service/{id}"),
        KeyKind::Task(id) => format!("task/{id}"),
        KeyKind::User(id) => format!("user/{id}"),
        KeyKind::JoinToken(id) => format!("join-token/{id}"),
        KeyKind::Secret(id) => format!("secret/{id}"),
        KeyKind::Config(id) => format!("config/{id}"),
        KeyKind::KeyRing(_) => "keys".to_owned(),
    })
}
