//! Nodes that do nothing but say that their tasks run, as fast as they are told of them.

use crate::simulated::Managers;
use crate::simulated::Mark;
use crate::simulated::Tally;
use crate::simulated::worker;
use anyhow::Context;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;
use weft_manager::store::Store;
use weft_manager::store::View;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::wire;

/// Reports in one proposal; as many as a manager gathers from real agents.
const BATCH: usize = 256;
/// Nodes in one proposal.
const NODES_AT_ONCE: u16 = 200;
/// How often managers hear of every node: often enough that none is ever thought dead.
const HEARD: Duration = Duration::from_secs(1);
/// Managers gather reports of all sessions for this long before they propose them.
const GATHER: Duration = Duration::from_millis(15);

/// The simulated nodes of one cluster.
pub(crate) struct Nodes<'a> {
    managers: &'a Managers,
    store: Arc<Store>,
    heard: Vec<wire::Heard>,
    seen: u64,
    waiting: BTreeSet<TaskId>,
}

impl<'a> Nodes<'a> {
    /// Adds so many workers to the cluster.
    pub(crate) async fn join(managers: &'a Managers, count: u16) -> anyhow::Result<Nodes<'a>> {
        let founder = managers.founder();
        // Numbers below are those of the managers.
        let numbers: Vec<u16> = (10..count.saturating_add(10)).collect();
        for chunk in numbers.chunks(NODES_AT_ONCE.into()) {
            let nodes = chunk.iter().map(|number| worker(founder, *number, None));
            let changes = nodes.map(|node| Ok(Change::create(node?)));
            let changes: Vec<Change> = changes.collect::<anyhow::Result<_>>()?;
            managers
                .propose(changes)
                .await?
                .context("simulated nodes")?;
        }
        let store = managers.store()?;
        let view = store.view();
        let heard = view.nodes().map(|node| wire::Heard {
            node_id: node.id.to_string(),
            ..Default::default()
        });
        Ok(Nodes {
            managers,
            heard: heard.collect(),
            seen: view.revision(),
            store,
            waiting: BTreeSet::new(),
        })
    }

    /// Lives until `done` says so of a mark, or the time is over; `tally` sees every task.
    pub(crate) async fn live(
        &mut self,
        tally: &mut Tally,
        start: Instant,
        ceiling: Duration,
        done: impl Fn(&Mark) -> bool,
    ) -> anyhow::Result<bool> {
        let mut views = self.store.subscribe();
        let mut heard = Instant::now();
        self.managers.heard(&self.heard);
        loop {
            if heard.elapsed() >= HEARD {
                self.managers.heard(&self.heard);
                heard = Instant::now();
            }
            let view = views.borrow_and_update().clone();
            self.look(&view, tally);
            if done(&tally.mark(start.elapsed())) {
                return Ok(true);
            }
            if start.elapsed() > ceiling {
                return Ok(false);
            }
            if self.waiting.is_empty() {
                // Silence is no reason to fall silent.
                drop(timeout(HEARD, views.changed()).await);
                tokio::time::sleep(GATHER).await;
            } else {
                self.report().await?;
            }
        }
    }

    fn look(&mut self, view: &View, tally: &mut Tally) {
        match self.store.changes_since(self.seen) {
            Ok(sets) => {
                for key in sets.iter().flat_map(|set| &set.changed) {
                    if let ObjectKey::Task(id) = key
                        && let Some(task) = view.task(*id)
                    {
                        self.notice(task, tally);
                    }
                }
            }
            // More happened than is kept: everything is looked at.
            Err(_) => {
                for task in view.tasks() {
                    self.notice(task, tally);
                }
            }
        }
        // Of changes after the view was taken some may be noticed early; they come again.
        self.seen = view.revision();
    }

    fn notice(&mut self, task: &Task, tally: &mut Tally) {
        tally.see(task);
        if next_state(task).is_some() {
            self.waiting.insert(task.id);
        }
    }

    async fn report(&mut self) -> anyhow::Result<()> {
        let view = self.store.view();
        let now = SystemClock.timestamp();
        let mut changes = Vec::new();
        while changes.len() < BATCH
            && let Some(id) = self.waiting.pop_first()
        {
            let Some(task) = view.task(id) else { continue };
            if let Some(next) = next_state(task) {
                let mut task = Task::clone(task);
                task.status.state = next;
                task.status.at = now;
                task.status.message.clear();
                changes.push(Change::update(task));
            }
        }
        let tasks: Vec<TaskId> = changes.iter().filter_map(task_of).collect();
        if tasks.is_empty() {
            return Ok(());
        }
        if self.managers.propose(changes).await?.is_err() {
            // One of them changed meanwhile; its newer version is looked at next time.
            self.waiting.extend(tasks);
        }
        Ok(())
    }
}

fn task_of(change: &Change) -> Option<TaskId> {
    let Change::Put {
        object: Object::Task(task),
        ..
    } = change
    else {
        return None;
    };
    Some(task.id)
}

/// What a perfect agent would report of the task next.
fn next_state(task: &Task) -> Option<TaskState> {
    task.node?;
    let wanted = task.desired == DesiredState::Running;
    if task.status.state.is_terminal() {
        None
    } else if !wanted {
        Some(TaskState::Shutdown)
    } else {
        (task.status.state < TaskState::Running).then_some(TaskState::Running)
    }
}
