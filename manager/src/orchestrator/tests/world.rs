//! A small cluster in memory: a real state and orchestrator, and allocator, scheduler and agents that
//! are played. Everything that happens is written down, with the time since the beginning.

use crate::fixture;
use crate::orchestrator::Orchestrator;
use crate::orchestrator::plan;
use crate::orchestrator::tests::words::told;
use crate::store::State;
use crate::store::apply;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::CommandId;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// When every world begins: a full minute, so that schedules are easy to read.
const BEGIN: i64 = 60_000_000;

/// What happens to tasks of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Ends with this code so long after it began to run.
    Ends(i32, i64),
    /// Its agent never gets further than to accept it.
    Hangs,
}

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: i64,
    ids: u128,
    /// Plans for everything each time, instead of what changed.
    everything: bool,
    orchestrator: Orchestrator,
    /// When the orchestrator wants to look again.
    wake: Option<Timestamp>,
    changed: Vec<ObjectKey>,
    pub(super) fates: BTreeMap<String, Fate>,
    /// Nodes whose agents do nothing now.
    pub(super) held: BTreeSet<NodeId>,
    /// Tasks that do not stop.
    pub(super) stubborn: BTreeSet<TaskId>,
    tags: BTreeMap<TaskId, usize>,
    pub(super) log: Vec<String>,
}

impl World {
    pub(super) fn new(everything: bool) -> World {
        let state = fixture::state(vec![fixture::cluster().into()]);
        World {
            state,
            now: BEGIN,
            ids: 1_000,
            everything,
            orchestrator: Orchestrator::default(),
            wake: None,
            changed: Vec::new(),
            fates: BTreeMap::new(),
            held: BTreeSet::new(),
            stubborn: BTreeSet::new(),
            tags: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    pub(super) fn say(&mut self, text: &str) {
        let past = self.now - BEGIN;
        let at = format!("{}.{:01}s", past / 1000, past % 1000 / 100);
        self.log.push(format!("{at:>7}  {text}"));
    }

    /// `web.1#3`: the third task of all, in slot 1 of web.
    pub(super) fn tag(&self, task: &Task) -> String {
        let number = self.tags.get(&task.id).copied().unwrap_or_default();
        format!("{}#{number}", task.name())
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        self.ids += 1;
        let command = Command {
            id: CommandId::from_entropy(self.ids),
            at: self.time(),
            changes,
            actor: None,
        };
        let applied = apply(&self.state, self.state.revision() + 1, &command);
        applied.result.unwrap();
        for key in &applied.changed {
            self.tell(*key, &applied.state);
        }
        self.changed.extend(applied.changed);
        self.state = applied.state;
    }

    fn tell(&mut self, key: ObjectKey, after: &State) {
        match key {
            ObjectKey::Task(id) => {
                let before = self.state.task(id).map(|t| Task::clone(t));
                let after = after.task(id).map(|t| Task::clone(t));
                self.tell_task(before, after, id);
            }
            ObjectKey::Service(id) => {
                let before = self.state.service(id).cloned();
                if let (Some(before), Some(now)) = (before, after.service(id)) {
                    self.tell_service(&before, now);
                }
            }
            ObjectKey::Cluster
            | ObjectKey::Node(_)
            | ObjectKey::Network(_)
            | ObjectKey::Material(..)
            | ObjectKey::KeyRing
            | ObjectKey::User(_)
            | ObjectKey::JoinToken(_) => {}
        }
    }

    fn tell_task(&mut self, before: Option<Task>, after: Option<Task>, id: TaskId) {
        match (before, after) {
            (None, Some(task)) => {
                let number = self.tags.len() + 1;
                self.tags.insert(id, number);
                let spec = told(&task.spec);
                let tag = self.tag(&task);
                self.say(&format!("{tag} made ({spec})"));
            }
            (Some(old), Some(new)) => {
                let tag = self.tag(&new);
                if new.desired != old.desired && !old.status.state.is_terminal() {
                    self.say(&format!("{tag} told to stop: {}", new.status.message));
                }
                let shown = new.status.state >= TaskState::Running;
                if new.status.state != old.status.state && shown {
                    let node = new.node.map(|id| self.node_name(id)).unwrap_or_default();
                    let error = match new.status.exit_code {
                        Some(code) => format!(" (exit code {code})"),
                        None => String::new(),
                    };
                    self.say(&format!("{tag} {} on {node}{error}", new.status.state));
                }
            }
            (Some(old), None) if !old.status.state.is_terminal() => {
                let tag = self.tag(&old);
                self.say(&format!("{tag} forgotten"));
            }
            (Some(_) | None, None) => {}
        }
    }

    fn tell_service(&mut self, before: &Service, now: &Service) {
        let name = now.spec.name.clone();
        let status = |s: &Service| s.update.clone().map(|u| (u.state, u.message));
        if let Some((state, message)) =
            status(now).filter(|new| Some(new) != status(before).as_ref())
        {
            let message = match message.as_str() {
                "" => String::new(),
                message => format!(" ({message})"),
            };
            self.say(&format!("{name}: {state}{message}"));
        }
        let (old, new) = (before.run, now.run);
        if old.map(|run| run.iteration) != new.map(|run| run.iteration) {
            let run = new.map_or(0, |run| run.iteration);
            self.say(&format!("{name}: run {run} begins"));
        }
        let skipped = |run: Option<JobRun>| run.and_then(|run| run.skipped);
        if skipped(new).is_some() && skipped(old) != skipped(new) {
            self.say(&format!("{name}: a time of its schedule is passed over"));
        }
    }

    pub(super) fn node_name(&self, id: NodeId) -> String {
        match self.state.node(id) {
            Some(node) => node.description.hostname.clone(),
            None => "gone".to_owned(),
        }
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.state.tasks().map(|task| Task::clone(task)).collect();
        tasks.sort_by_key(|task| {
            (
                task.service_name.clone(),
                task.slot,
                self.tags.get(&task.id).copied(),
            )
        });
        tasks
    }

    pub(super) fn set(&mut self, id: TaskId, change: impl FnOnce(&mut Task)) {
        let mut task = Task::clone(self.state.task(id).unwrap());
        change(&mut task);
        self.commit(vec![Change::update(task)]);
    }

    /// Moves a task on; a terminal state with its exit code.
    pub(super) fn report(&mut self, id: TaskId, state: TaskState, code: Option<i32>) {
        let at = self.time();
        self.set(id, |task| {
            task.status.state = state;
            task.status.at = at;
            task.status.message = String::new();
            task.status.exit_code = code;
        });
    }

    /// One look of the orchestrator. True when it changed something.
    fn orchestrate(&mut self) -> bool {
        let changed = match self.everything {
            true => None,
            false => Some(self.changed.as_slice()),
        };
        self.orchestrator.follow(&self.state, changed);
        self.changed.clear();
        let ids = &mut self.ids;
        let now = Timestamp::from_millis(self.now);
        let planned = self.orchestrator.plan(now, &mut || {
            *ids += 1;
            fixture::task_id(*ids)
        });
        self.wake = planned.wake_at;
        let changes = planned.changes;
        let busy = !changes.is_empty();
        if busy {
            self.commit(changes);
        }
        busy
    }

    /// Plays allocator and scheduler.
    fn place(&mut self) -> bool {
        let mut moved = false;
        for task in self.tasks() {
            if task.desired > DesiredState::Running || task.status.state > TaskState::Pending {
                continue;
            }
            let chosen = self.choose(&task);
            let (at, reason) = (self.time(), "no suitable node");
            match chosen {
                Some(node) => self.set(task.id, |task| {
                    task.node = Some(node);
                    task.status.state = TaskState::Assigned;
                    task.status.at = at;
                    task.status.message = String::new();
                }),
                None if task.status.message == reason => continue,
                None => self.set(task.id, |task| {
                    task.status.state = TaskState::Pending;
                    task.status.message = reason.to_owned();
                }),
            }
            moved = true;
        }
        moved
    }

    fn choose(&self, task: &Task) -> Option<NodeId> {
        let suits = |node: &&std::sync::Arc<Node>| {
            node.status.state == NodeState::Ready
                && node.spec.availability == Availability::Active
                && task.spec.constraints.iter().all(|c| node.meets(c))
                && task.node.is_none_or(|wanted| wanted == node.id)
        };
        let load = |id: NodeId| {
            self.state
                .tasks_of_node(id)
                .filter(|t| t.is_wanted())
                .count()
        };
        let nodes = self.state.nodes().filter(suits);
        let best = nodes.min_by_key(|node| (load(node.id), node.number));
        best.map(|node| node.id)
    }

    /// Plays the agents of nodes that are up.
    fn run(&mut self) -> bool {
        let mut moved = false;
        for task in self.tasks() {
            let up = task
                .node
                .and_then(|id| self.state.node(id))
                .is_some_and(|node| {
                    node.status.state == NodeState::Ready && !self.held.contains(&node.id)
                });
            let state = task.status.state;
            if !up || state.is_terminal() || state < TaskState::Assigned {
                continue;
            }
            if task.desired > DesiredState::Running {
                if !self.stubborn.contains(&task.id) {
                    self.report(task.id, TaskState::Shutdown, None);
                    moved = true;
                }
                continue;
            }
            let fate = self.fates.get(&told(&task.spec)).copied();
            match (state, fate) {
                (TaskState::Running, Some(Fate::Ends(code, after))) => {
                    if task.status.at.as_millis() + after <= self.now {
                        let end = match code {
                            0 => TaskState::Complete,
                            _ => TaskState::Failed,
                        };
                        self.report(task.id, end, Some(code));
                        moved = true;
                    }
                }
                (TaskState::Running, _) | (_, Some(Fate::Hangs)) => {}
                _ => {
                    self.report(task.id, TaskState::Running, None);
                    moved = true;
                }
            }
        }
        moved
    }

    /// Everybody works until nobody has anything to do at this moment.
    pub(super) fn settle(&mut self) {
        for _ in 0..500 {
            let mut busy = self.orchestrate();
            busy |= self.place();
            busy |= self.run();
            if !busy {
                return self.verify();
            }
        }
        panic!("never settles:\n{}", self.log.join("\n"));
    }

    /// Planning for everything finds nothing that planning for what changed has missed.
    fn verify(&self) {
        let missed = plan(&self.state, self.time(), &mut || fixture::task_id(1));
        assert_eq!(missed.changes, [], "{}", self.log.join("\n"));
        assert_eq!(self.wake, missed.wake_at, "{}", self.log.join("\n"));
    }

    /// Lets time pass, from one moment at which something may happen to the next.
    pub(super) fn pass(&mut self, millis: i64) {
        let end = self.now + millis;
        while self.now < end {
            let wake = self.wake.map_or(i64::MAX, Timestamp::as_millis);
            let fate = self.next_fate();
            self.now = wake.min(fate).max(self.now + 1).min(end);
            self.settle();
        }
    }

    fn next_fate(&self) -> i64 {
        let running = self.state.tasks().filter(|task| {
            task.status.state == TaskState::Running && task.desired == DesiredState::Running
        });
        let ends = running.filter_map(|task| match self.fates.get(&told(&task.spec)) {
            Some(Fate::Ends(_, after)) => Some(task.status.at.as_millis() + after),
            Some(Fate::Hangs) | None => None,
        });
        ends.filter(|at| *at > self.now).min().unwrap_or(i64::MAX)
    }

    /// A new leader: nothing is remembered but the state.
    pub(super) fn failover(&mut self) {
        self.orchestrator = Orchestrator::default();
        self.say("another manager leads");
    }
}
