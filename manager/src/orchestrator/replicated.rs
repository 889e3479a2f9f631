//! Services with a number of replicas: one wanted task in each of the slots 1 to N.

use crate::orchestrator::Plan;
use crate::orchestrator::restart::Restart;
use crate::orchestrator::restart::decide;
use crate::orchestrator::slot::Slot;
use crate::orchestrator::slot::is_current;
use crate::orchestrator::slot::must_leave;
use crate::orchestrator::slot::new_task;
use crate::orchestrator::slot::slots;
use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::Mode;
use weft_proto::spec::UpdateOrder;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

struct Planner<'a> {
    state: &'a State,
    service: &'a Service,
    replicas: u32,
    now: Timestamp,
    new_id: &'a mut dyn FnMut() -> TaskId,
    plan: &'a mut Plan,
}

/// Adds the steps for one service.
pub(super) fn plan(
    state: &State,
    service: &Service,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
    plan: &mut Plan,
) {
    let Mode::Replicated { replicas } = service.spec.mode else {
        return;
    };
    let slots = slots(state, service);
    let mut planner = Planner {
        state,
        service,
        replicas,
        now,
        new_id,
        plan,
    };
    // The highest slots go first: they were placed last, so the spread of the rest stays even.
    for slot in slots
        .range(replicas.saturating_add(1)..)
        .map(|(_, slot)| slot)
    {
        planner.forget(slot);
    }
    let none = Slot::default();
    for number in 1..=replicas {
        planner.keep(number, slots.get(&number).unwrap_or(&none));
    }
    planner.update(&slots);
}

impl Planner<'_> {
    /// The slot is no longer wanted.
    fn forget(&mut self, slot: &Slot) {
        for task in &slot.tasks {
            self.end(task, DesiredState::Remove, "the service was scaled down");
        }
    }

    /// Keeps one wanted task in the slot.
    fn keep(&mut self, number: u32, slot: &Slot) {
        let mut staying = 0;
        for task in slot.wanted() {
            match must_leave(self.state, task) {
                Some(why) => self.end(task, DesiredState::Shutdown, why),
                None => staying += 1,
            }
        }
        if staying > 0 || slot.is_stopping(self.state) && slot.wanted().next().is_none() {
            return;
        }
        if slot.wanted().next().is_some() {
            // Its task has to leave: the successor starts at once, elsewhere.
            return self.create(number);
        }
        let Some(ended) = slot.ended() else {
            return self.create(number);
        };
        // A changed spec deserves a new try, whatever became of the old one.
        let restart = if is_current(ended, self.service) {
            decide(slot, ended, self.now)
        } else {
            Restart::Now
        };
        match restart {
            Restart::Now => {
                self.end(ended, DesiredState::Shutdown, "");
                self.create(number);
            }
            Restart::At(due) => self.plan.wake(due),
            Restart::Never => {}
        }
    }

    /// Replaces tasks of an old spec, so many slots at a time.
    fn update(&mut self, slots: &BTreeMap<u32, Slot>) {
        let config = self.service.spec.update;
        let replicas = self.replicas;
        let in_range = || slots.range(1..=replicas).map(|(n, slot)| (*n, slot));
        for (_, slot) in in_range() {
            self.retire(slot);
        }
        let busy = in_range().filter(|(_, slot)| self.is_busy(slot)).count();
        let parallelism = match config.parallelism {
            0 => usize::MAX,
            parallelism => usize::try_from(parallelism).unwrap_or(usize::MAX),
        };
        let mut room = parallelism.saturating_sub(busy);
        for (number, slot) in in_range() {
            let mut staying = slot
                .wanted()
                .filter(|task| must_leave(self.state, task).is_none());
            let (Some(task), None) = (staying.next(), staying.next()) else {
                continue;
            };
            if is_current(task, self.service) {
                continue;
            }
            // A task that does not run serves nobody: it does not wait for its turn.
            let idle = task.status.state < TaskState::Running;
            if !idle && room == 0 {
                continue;
            }
            match config.order {
                UpdateOrder::StartFirst if !idle => self.create(number),
                UpdateOrder::StartFirst | UpdateOrder::StopFirst => {
                    self.end(task, DesiredState::Shutdown, "the service was updated");
                }
            }
            room = room.saturating_sub(usize::from(!idle));
        }
    }

    /// With start-first: once the new task runs, the old one goes.
    fn retire(&mut self, slot: &Slot) {
        let Some(new) = slot.runs(self.service) else {
            return;
        };
        for old in slot.wanted().filter(|task| task.id != new.id) {
            self.end(old, DesiredState::Shutdown, "the service was updated");
        }
    }

    /// The slot is in the middle of an update: its new task does not run yet, or not long enough.
    fn is_busy(&mut self, slot: &Slot) -> bool {
        let delay = self.service.spec.update.delay;
        if let Some(new) = slot.runs(self.service) {
            let due = new.status.at.after(delay);
            // Only a task that replaced another one is part of an update.
            let replaced = slot
                .tasks
                .iter()
                .any(|task| !is_current(task, self.service));
            let busy = replaced && due > self.now;
            if busy {
                self.plan.wake(due);
            }
            return busy;
        }
        let starting = slot.wanted().any(|task| is_current(task, self.service));
        let updating = slot
            .tasks
            .iter()
            .any(|task| !is_current(task, self.service));
        updating && (starting || slot.wanted().next().is_none())
    }

    fn create(&mut self, number: u32) {
        let task = new_task((self.new_id)(), self.service, number, self.now);
        self.plan.changes.push(Change::create(task));
    }

    fn end(&mut self, task: &Task, desired: DesiredState, why: &str) {
        if task.desired >= desired {
            return;
        }
        let mut task = task.clone();
        task.desired = desired;
        if !why.is_empty() && !task.status.state.is_terminal() {
            task.status.message = why.to_owned();
        }
        self.plan.changes.push(Change::update(task));
    }
}
