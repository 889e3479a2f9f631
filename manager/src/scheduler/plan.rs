//! Pending tasks get a node, or a reason why there is none.

use crate::scheduler::choose::Choice;
use crate::scheduler::choose::Wanted;
use crate::scheduler::explain;
use crate::scheduler::filter::refuse_at_all;
use crate::scheduler::filter::refuse_more;
use crate::scheduler::index::NodeIndex;
use crate::scheduler::message;
use crate::scheduler::node_info::NodeInfo;
use crate::store::State;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::ObjectKey;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// Gives every pending task of a state the best node, or writes down why no node suits. What the
/// loops do step by step with a [`Scheduler`], in one.
pub fn plan(state: &State, now: Timestamp) -> Vec<Change> {
    let mut scheduler = Scheduler::default();
    scheduler.follow(state, None);
    let placed = scheduler.plan(Vec::new(), &BTreeSet::new(), now);
    placed.tasks.into_iter().map(Change::update).collect()
}

/// What became of pending tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Tasks that have a node now, or another reason to wait.
    pub tasks: Vec<Task>,
    /// When to plan again even if nothing changes: a reason may be written then.
    pub wake_at: Option<Timestamp>,
}

/// Which tasks wait, in the order in which they get nodes.
type Key = (ServiceId, u32, TaskId);

/// Places tasks, and keeps its picture of the nodes from one plan to the next.
#[derive(Clone, Debug, Default)]
pub struct Scheduler {
    seen: State,
    index: NodeIndex,
    /// All pending tasks of the state.
    waiting: BTreeSet<Key>,
    /// Those of them that no plan has looked at, nor at what became of it.
    fresh: BTreeSet<Key>,
    /// There may be room where there was none: all that wait are looked at.
    room: bool,
    /// Counted in `index`, and not yet seen in the state.
    tentative: Vec<Task>,
    recheck: Option<Timestamp>,
}

impl Scheduler {
    /// Goes on to a newer state. `changed`: all objects that changed since the last one; `None`
    /// when that is not known, or for the first time. What was planned counts no more unless it is
    /// state now.
    pub fn follow(&mut self, state: &State, changed: Option<&BTreeSet<ObjectKey>>) {
        for task in self.tentative.drain(..) {
            self.index.remove(&task);
        }
        let Some(changed) = changed else {
            self.index = NodeIndex::of(state);
            self.waiting = state
                .tasks()
                .filter(|task| waits(task))
                .map(|task| key(task))
                .collect();
            (self.fresh, self.room) = (BTreeSet::new(), true);
            self.seen = state.clone();
            return;
        };
        self.room |= self.index.follow(&self.seen, state, changed);
        for changed in changed {
            let ObjectKey::Task(id) = changed else {
                continue;
            };
            if let Some(old) = self.seen.task(*id) {
                self.waiting.remove(&key(old));
                self.fresh.remove(&key(old));
            }
            if let Some(new) = state.task(*id).filter(|task| waits(task)) {
                self.waiting.insert(key(new));
                self.fresh.insert(key(new));
            }
        }
        self.seen = state.clone();
    }

    /// What was planned did not become state: the next plan looks at everything that waits.
    pub fn again(&mut self) {
        self.room = true;
    }

    /// Places what waits, as far as something changed for it. `drafts`: pending tasks that are not
    /// state yet, or not as they are there. `others`: tasks that the same transaction changes
    /// otherwise.
    pub fn plan(
        &mut self,
        drafts: Vec<Task>,
        others: &BTreeSet<TaskId>,
        now: Timestamp,
    ) -> Placement {
        let due = self.recheck.is_some_and(|at| at <= now);
        let look_at = if self.room || due {
            &self.waiting
        } else {
            &self.fresh
        };
        let drafted: BTreeSet<TaskId> = drafts.iter().map(|task| task.id).collect();
        let known = look_at
            .iter()
            .filter(|(_, _, id)| !others.contains(id) && !drafted.contains(id))
            .filter_map(|(_, _, id)| self.seen.task(*id).cloned());
        let drafts = drafts.into_iter().filter(waits).map(Arc::new);
        let mut tasks: Vec<Arc<Task>> = known.chain(drafts).collect();
        tasks.sort_by_key(|task| key(task));
        (self.room, self.recheck) = (false, None);
        self.fresh.clear();
        let encrypted = self.seen.networks().filter(|net| net.spec.encrypted);
        let mut round = Round {
            encrypted: encrypted.map(|net| net.id).collect(),
            index: &mut self.index,
            waiting: self.waiting.len(),
            now,
            placement: Placement::default(),
        };
        round.place_all(&tasks);
        let placement = round.placement;
        let placed = placement.tasks.iter().filter(|task| NodeInfo::holds(task));
        self.tentative.extend(placed.cloned());
        self.recheck = placement.wake_at;
        placement
    }
}

struct Round<'a> {
    index: &'a mut NodeIndex,
    /// Networks that are encrypted.
    encrypted: BTreeSet<NetworkId>,
    waiting: usize,
    now: Timestamp,
    placement: Placement,
}

impl Round<'_> {
    fn place_all(&mut self, tasks: &[Arc<Task>]) {
        for service in tasks.chunk_by(|a, b| a.service == b.service) {
            // Few: the spec of the service now, and what it was before.
            let mut alike: Vec<Vec<&Arc<Task>>> = Vec::new();
            for task in service {
                match task.node {
                    Some(node) => self.place_on(task, node),
                    None => match alike.iter_mut().find(|some| some[0].spec == task.spec) {
                        Some(some) => some.push(task),
                        None => alike.push(vec![task]),
                    },
                }
            }
            for tasks in alike {
                self.place_alike(&tasks);
            }
        }
    }

    /// Tasks of one service with one spec.
    fn place_alike(&mut self, tasks: &[&Arc<Task>]) {
        let Some(first) = tasks.first() else { return };
        let wanted = Wanted {
            service: first.service,
            spec: first.spec.clone(),
            encrypted: self.is_encrypted(first),
            now: self.now,
        };
        let mut choice = Choice::new(self.index, wanted);
        let mut rest = tasks.iter();
        for task in rest.by_ref() {
            let now = self.now;
            match choice.place(self.index, &mut |info| assigned(task, info, now)) {
                Some(placed) => self.placement.tasks.push(placed),
                None => {
                    let reason = choice.refusals.summary(&task.spec);
                    self.wait(task, &reason);
                    for task in rest {
                        self.wait(task, &reason);
                    }
                    return;
                }
            }
        }
    }

    /// A task that belongs on one node, as those of global services do.
    fn place_on(&mut self, task: &Task, node: NodeId) {
        // The orchestrator takes away a task whose node is gone.
        let Some(info) = self.index.get(node) else {
            return;
        };
        let refusal = refuse_at_all(info, &task.spec, self.is_encrypted(task))
            .or_else(|| refuse_more(info, task.service, &task.spec));
        match refusal {
            Some(refusal) => {
                let hostname = &info.node.description.hostname;
                let reason = explain::of_its_node(hostname, &refusal, &task.spec);
                self.wait(task, &reason);
            }
            None => {
                let task = assigned(task, info, self.now);
                self.index.add(&task);
                self.placement.tasks.push(task);
            }
        }
    }

    fn is_encrypted(&self, task: &Task) -> bool {
        let mut networks = task.spec.networks.iter();
        networks.any(|network| self.encrypted.contains(&network.id))
    }

    fn wait(&mut self, task: &Task, reason: &str) {
        match message::due(task, reason, self.waiting) {
            message::Due::Never => {}
            message::Due::At(at) if at > self.now => {
                let earlier = self.placement.wake_at.map_or(at, |earlier| earlier.min(at));
                self.placement.wake_at = Some(earlier);
            }
            message::Due::Now | message::Due::At(_) => {
                let mut task = task.clone();
                reason.clone_into(&mut task.status.message);
                self.placement.tasks.push(task);
            }
        }
    }
}

fn assigned(task: &Task, info: &NodeInfo, now: Timestamp) -> Task {
    let mut task = task.clone();
    task.node = Some(info.node.id);
    task.ingress_addr = info.ingress_addr();
    task.status.state = TaskState::Assigned;
    task.status.at = now;
    task.status.message = "waits for its node's agent".to_owned();
    task
}

fn waits(task: &Task) -> bool {
    task.status.state == TaskState::Pending && task.desired == DesiredState::Running
}

fn key(task: &Task) -> Key {
    (task.service, task.slot, task.id)
}
