//! Output as it comes, for as long as somebody reads: tasks that start later are followed too, and a
//! node whose agent went to another manager is asked again there.

use crate::logs::LogLines;
use crate::logs::LogQuery;
use crate::logs::LogSource;
use crate::logs::subscription::SESSION_ENDED;
use crate::store::State;
use crate::store::Store;
use crate::store::View;
use futures::StreamExt;
use futures::stream;
use futures::stream::SelectAll;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;
use weft_proto::wire;

/// How long after its stream ended a task that goes on is asked for again: an agent that lost its
/// manager has another one by then.
const AGAIN: Duration = Duration::from_secs(1);

/// Whose output is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// All tasks of a service, also those that it gets later.
    Service(ServiceId),
    /// One task.
    Task(TaskId),
}

/// The lines of `query`, and then those that are written later. Ends when the reader goes away, or
/// when there is nothing left that could write any.
pub fn follow(
    source: Arc<dyn LogSource>,
    store: &Store,
    followed: Followed,
    query: LogQuery,
) -> LogLines {
    let mut following = Following {
        source,
        views: store.subscribe(),
        followed,
        open: SelectAll::new(),
        known: query.tasks.iter().copied().collect(),
        again: BTreeMap::new(),
        read: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    following.open(query);
    let lines = stream::unfold(following, |mut following| async move {
        let line = following.next().await?;
        Some((line, following))
    });
    lines.boxed()
}

/// How far a task was read.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    /// The time of the last line, and how many lines have it.
    last: (i64, usize),
    /// Lines of that time that come once more, since the task was asked for again.
    skip: usize,
}

/// What comes from one query; nothing at its end.
type Part = (Arc<Vec<TaskId>>, Option<wire::LogLine>);

struct Following {
    source: Arc<dyn LogSource>,
    views: watch::Receiver<View>,
    followed: Followed,
    open: SelectAll<Pin<Box<dyn stream::Stream<Item = Part> + Send>>>,
    /// Tasks that were asked for.
    known: BTreeSet<TaskId>,
    /// Those to be asked for again, and when.
    again: BTreeMap<TaskId, Instant>,
    read: BTreeMap<TaskId, Read>,
    /// The last note about each node.
    told: BTreeMap<String, String>,
}

impl Following {
    async fn next(&mut self) -> Option<wire::LogLine> {
        self.look();
        loop {
            if self.is_over() {
                return None;
            }
            let again = self.again.values().min().copied();
            let due = async move {
                match again {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Every arm is cancel-safe.
            tokio::select! {
                part = self.open.next(), if !self.open.is_empty() => match part {
                    Some((_, Some(line))) => if let Some(line) = self.take(line) {
                        return Some(line);
                    },
                    Some((tasks, None)) => self.ended(&tasks),
                    // The last query has gone: perhaps there is nothing left to wait for.
                    None => {}
                },
                changed = self.views.changed() => {
                    changed.ok()?;
                    self.look();
                }
                () = due => self.ask_again(),
            }
        }
    }

    /// Nothing is read, and nobody is left who could write.
    fn is_over(&self) -> bool {
        let there = match self.followed {
            Followed::Service(service) => self.views.borrow().service(service).is_some(),
            Followed::Task(_) => false,
        };
        !there && self.open.is_empty() && self.again.is_empty()
    }

    /// Asks for the tasks of the service that have begun since.
    fn look(&mut self) {
        let Followed::Service(service) = self.followed else {
            return;
        };
        let view = self.views.borrow_and_update().clone();
        let tasks = view.tasks_of_service(service);
        let begun = tasks.filter(|task| has_begun(task) && !self.known.contains(&task.id));
        let begun: Vec<TaskId> = begun.map(|task| task.id).collect();
        if !begun.is_empty() {
            self.known.extend(&begun);
            self.open(LogQuery {
                tasks: begun,
                follow: true,
                all: true,
                ..LogQuery::default()
            });
        }
    }

    fn open(&mut self, query: LogQuery) {
        if query.tasks.is_empty() {
            return;
        }
        let tasks = Arc::new(query.tasks.clone());
        let end = stream::iter([(Arc::clone(&tasks), None)]);
        let lines = self.source.logs(query);
        let lines = lines.map(move |line| (Arc::clone(&tasks), Some(line)));
        self.open.push(lines.chain(end).boxed());
    }

    /// A line for the reader, unless it has it.
    fn take(&mut self, line: wire::LogLine) -> Option<wire::LogLine> {
        if !line.note.is_empty() {
            // What follows is read wherever the node's agent is next.
            let known = self.told.get(&line.node_id) == Some(&line.note);
            if known || line.note == SESSION_ENDED {
                return None;
            }
            self.told.insert(line.node_id.clone(), line.note.clone());
            return Some(line);
        }
        self.told.remove(&line.node_id);
        let Ok(task) = line.task_id.parse::<TaskId>() else {
            return Some(line);
        };
        let read = self.read.entry(task).or_default();
        let (last, count) = read.last;
        if line.at_ms == last && read.skip > 0 {
            read.skip -= 1;
            return None;
        }
        read.last = (line.at_ms, if line.at_ms == last { count + 1 } else { 1 });
        Some(line)
    }

    /// A query ended: of those of its tasks that go on there is more to come.
    fn ended(&mut self, tasks: &[TaskId]) {
        let view = self.views.borrow().clone();
        let at = Instant::now() + AGAIN;
        let going_on = tasks.iter().filter(|task| goes_on(&view, **task));
        self.again.extend(going_on.map(|task| (*task, at)));
    }

    fn ask_again(&mut self) {
        let now = Instant::now();
        let due: Vec<TaskId> = self
            .again
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(task, _)| *task)
            .collect();
        for task in due {
            self.again.remove(&task);
            let read = self.read.entry(task).or_default();
            let (since_ms, seen) = read.last;
            read.skip = seen;
            self.open(LogQuery {
                tasks: vec![task],
                follow: true,
                all: true,
                since_ms,
                ..LogQuery::default()
            });
        }
    }
}

/// Its node has made it, so there is something to read.
fn has_begun(task: &Task) -> bool {
    task.node.is_some() && task.status.state >= TaskState::Starting
}

fn goes_on(view: &State, task: TaskId) -> bool {
    view.task(task)
        .is_some_and(|task| !task.status.state.is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::propose::fake::FakeProposer;
    use parking_lot::Mutex;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;
    use weft_proto::command::Change;

    /// Every query and the end its lines come from.
    #[derive(Default)]
    struct Agents(Mutex<Vec<(LogQuery, mpsc::UnboundedSender<wire::LogLine>)>>);

    impl LogSource for Agents {
        fn logs(&self, query: LogQuery) -> LogLines {
            let (lines, read) = mpsc::unbounded_channel();
            self.0.lock().push((query, lines));
            UnboundedReceiverStream::new(read).boxed()
        }
    }

    impl Agents {
        async fn asked(&self) -> (LogQuery, mpsc::UnboundedSender<wire::LogLine>) {
            for _ in 0..2000 {
                if let Some(asked) = self.0.lock().pop() {
                    return asked;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("nothing was asked for");
        }
    }

    fn line(task: u128, at_ms: i64, text: &str) -> wire::LogLine {
        wire::LogLine {
            task_id: task_id(task).to_string(),
            node_id: "n".to_owned(),
            at_ms,
            line: text.as_bytes().to_vec(),
            ..wire::LogLine::default()
        }
    }

    fn note(text: &str) -> wire::LogLine {
        wire::LogLine {
            node_id: "n".to_owned(),
            note: text.to_owned(),
            ..wire::LogLine::default()
        }
    }

    async fn text(lines: &mut LogLines) -> String {
        let line = tokio::time::timeout(Duration::from_secs(10), lines.next());
        let line = line.await.expect("no line comes").expect("the end");
        line.note.clone() + &String::from_utf8_lossy(&line.line)
    }

    fn begin(fake: &FakeProposer, agents: &Arc<Agents>, tasks: &[u128]) -> LogLines {
        let query = LogQuery {
            tasks: tasks.iter().map(|n| task_id(*n)).collect(),
            follow: true,
            tail: 5,
            ..LogQuery::default()
        };
        let followed = Followed::Service(service_id(1));
        follow(agents.clone(), &fake.store(), followed, query)
    }

    #[tokio::test]
    async fn tasks_that_start_later_are_followed_from_their_first_line() {
        let web = service(1, 2);
        let first = task(1, &web).on(&node(1)).state(TaskState::Running);
        let fake = FakeProposer::new(vec![node(1).into(), web.clone().into(), first.into()]);
        let agents = Arc::new(Agents::default());
        let mut lines = begin(&fake, &agents, &[1]);
        let (query, one) = agents.asked().await;
        assert_eq!((query.tail, query.all), (5, false));
        one.send(line(1, 1, "a")).unwrap();
        assert_eq!(text(&mut lines).await, "a");

        let later = task(2, &web).slot(2).on(&node(1)).state(TaskState::Running);
        fake.write(vec![Change::create(later)]);
        let reading = tokio::spawn(async move {
            let read = text(&mut lines).await;
            (read, lines)
        });
        let (query, two) = agents.asked().await;
        assert_eq!(query.tasks, [task_id(2)]);
        assert!(query.all && query.follow);
        two.send(line(2, 2, "b")).unwrap();
        assert_eq!(reading.await.unwrap().0, "b");
    }

    #[tokio::test]
    async fn a_task_whose_agent_moved_is_read_on_without_a_line_lost_or_told_twice() {
        let web = service(1, 1);
        let first = task(1, &web).on(&node(1)).state(TaskState::Running);
        let fake = FakeProposer::new(vec![node(1).into(), web.into(), first.into()]);
        let agents = Arc::new(Agents::default());
        let mut lines = begin(&fake, &agents, &[1]);
        let (_, agent) = agents.asked().await;
        for (at, said) in [(1, "a"), (2, "b"), (2, "c")] {
            agent.send(line(1, at, said)).unwrap();
            assert_eq!(text(&mut lines).await, said);
        }
        agent.send(note(SESSION_ENDED)).unwrap();
        drop(agent);
        let reading = tokio::spawn(async move {
            let read = [text(&mut lines).await, text(&mut lines).await];
            (read, lines)
        });
        let (query, agent) = agents.asked().await;
        assert_eq!((query.since_ms, query.all), (2, true));
        for (at, said) in [(2, "b"), (2, "c"), (2, "d"), (3, "e")] {
            agent.send(line(1, at, said)).unwrap();
        }
        assert_eq!(reading.await.unwrap().0, ["d", "e"]);
    }

    #[tokio::test]
    async fn it_ends_with_the_service_and_its_tasks() {
        let web = service(1, 1);
        let mut ended = task(1, &web).on(&node(1)).state(TaskState::Complete);
        ended.status.exit_code = Some(0);
        let fake = FakeProposer::new(vec![node(1).into(), web.into(), ended.into()]);
        let agents = Arc::new(Agents::default());
        let mut lines = begin(&fake, &agents, &[1]);
        drop(agents.asked().await);
        let view = fake.view();
        let gone = view.service(service_id(1)).unwrap().as_ref().clone();
        fake.write(vec![Change::remove(gone)]);
        let end = tokio::time::timeout(Duration::from_secs(10), lines.next()).await;
        assert_eq!(end.unwrap(), None);
    }
}
