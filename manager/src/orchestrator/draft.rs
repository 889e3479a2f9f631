//! The plan of one service while it is made: each task is changed at most once.

use crate::orchestrator::Plan;
use crate::store::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::Meta;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::ServiceSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

#[derive(Debug)]
enum Edit {
    Put(Box<Task>),
    Remove(Arc<Task>),
}

/// A place for a new task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: u32,
    /// Of a global service: where it has to run.
    pub(super) node: Option<NodeId>,
    /// Of a job: its run.
    pub(super) iteration: u64,
}

pub(super) struct Draft<'a> {
    pub(super) state: &'a State,
    pub(super) now: Timestamp,
    new_id: &'a mut dyn FnMut() -> TaskId,
    service: Option<Service>,
    edits: BTreeMap<TaskId, Edit>,
    created: Vec<Task>,
    wake: Option<Timestamp>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        state: &'a State,
        now: Timestamp,
        new_id: &'a mut dyn FnMut() -> TaskId,
    ) -> Self {
        Draft {
            state,
            now,
            new_id,
            service: None,
            edits: BTreeMap::new(),
            created: Vec::new(),
            wake: None,
        }
    }

    /// Looks again at this moment, which lies ahead.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether `at` has come; if not, looks again then.
    pub(super) fn is_due(&mut self, at: Timestamp) -> bool {
        let due = at <= self.now;
        if !due {
            self.wake(at);
        }
        due
    }

    /// The plan changes this task already; the next round goes on from there.
    pub(super) fn is_planned(&self, task: &Task) -> bool {
        self.edits.contains_key(&task.id)
    }

    /// Writes the service as it is to be.
    pub(super) fn service(&mut self, service: Service) {
        self.service = Some(service);
    }

    /// Writes a task as it is to be.
    pub(super) fn put(&mut self, task: Task) {
        self.edits.insert(task.id, Edit::Put(Box::new(task)));
    }

    /// Forgets a task.
    pub(super) fn remove(&mut self, task: &Arc<Task>) {
        self.edits.insert(task.id, Edit::Remove(task.clone()));
    }

    /// Tells a task to end. `why` is for people; empty where it has ended by itself.
    pub(super) fn end(&mut self, task: &Task, desired: DesiredState, why: &str) {
        if task.desired >= desired || self.is_planned(task) {
            return;
        }
        let mut task = task.clone();
        task.desired = desired;
        if !why.is_empty() && !task.status.state.is_terminal() {
            task.status.message = why.to_owned();
        }
        self.put(task);
    }

    /// A new task of `service`, made from `spec`: usually the service's own, while an update is
    /// paused the one before.
    pub(super) fn create(&mut self, service: &Service, spec: &ServiceSpec, place: Place) {
        self.created.push(Task {
            meta: Meta::default(),
            id: (self.new_id)(),
            service: service.id,
            service_name: service.spec.name.clone(),
            slot: place.slot,
            iteration: place.iteration,
            node: place.node,
            spec: spec.task.clone(),
            status: TaskStatus {
                state: TaskState::New,
                at: self.now,
                message: "waits for its addresses".to_owned(),
                error: String::new(),
                exit_code: None,
            },
            desired: DesiredState::Running,
            addresses: BTreeMap::new(),
            ingress_addr: None,
        });
    }

    /// Adds everything to the plan: the service first, so that a decision about it is known before
    /// its consequences; ends before beginnings.
    pub(super) fn finish(self, id: ServiceId, plan: &mut Plan) {
        plan.changes.extend(self.service.map(Change::update));
        plan.changes
            .extend(self.edits.into_values().map(|edit| match edit {
                Edit::Put(task) => Change::update(*task),
                Edit::Remove(task) => Change::remove(Task::clone(&task)),
            }));
        plan.changes
            .extend(self.created.into_iter().map(Change::create));
        if let Some(at) = self.wake {
            plan.wakes.insert(id, at);
            plan.wake_at = Some(plan.wake_at.map_or(at, |earlier| earlier.min(at)));
        }
    }
}
