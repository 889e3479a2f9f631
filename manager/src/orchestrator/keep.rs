//! Keeps one wanted task in every seat of a service: replaces what ended, moves what cannot stay, and
//! rolls changes over, so many seats at a time.

use crate::orchestrator::draft::Draft;
use crate::orchestrator::eligible::is_up;
use crate::orchestrator::restart::Restart;
use crate::orchestrator::restart::decide;
use crate::orchestrator::rollover;
use crate::orchestrator::rollover::Roll;
use crate::orchestrator::seat::Seat;
use crate::orchestrator::seat::Sorted;
use crate::orchestrator::seat::Stale;
use crate::orchestrator::slot::is_current;
use std::sync::Arc;
use std::time::Duration;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::UpdateOrder;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// How long a task that cannot stay waits for another one to run in its place, counted from the last
/// change of its node. As long as kubectl drain is usually told to wait; then the node is emptied.
pub(super) const MOVE_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// What a seat whose turn comes after that gets nevertheless.
const MOVE_GRACE: Duration = Duration::from_secs(60);
/// So many replacements that failed are enough to go on after the deadline without grace.
const MOVE_ATTEMPTS: usize = 2;

/// Adds the steps for one service.
pub(super) fn plan(draft: &mut Draft<'_>, service: &Service, seats: &[Seat]) {
    let frozen = rollover::is_paused(service);
    let sorted: Vec<Sorted> = seats
        .iter()
        .map(|seat| seat.sort(draft.state, service, frozen))
        .collect();
    let Some(roll) = rollover::step(draft, service, seats, &sorted) else {
        // Another spec holds from now on: the next round goes on from there.
        return;
    };
    let mut keeper = Keeper {
        draft,
        service,
        roll,
        busy: 0,
    };
    let mut turns = Vec::new();
    for (seat, sorted) in seats.iter().zip(&sorted) {
        if keeper.keep(seat, sorted) == Turn::Waits {
            turns.push((seat, sorted));
        }
    }
    keeper.take_turns(&turns);
}

/// Whether a seat waits until it may replace its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Waits,
}

struct Keeper<'a, 'b> {
    draft: &'a mut Draft<'b>,
    service: &'a Service,
    roll: Roll,
    /// Seats in the middle of a replacement.
    busy: usize,
}

impl Keeper<'_, '_> {
    fn keep(&mut self, seat: &Seat, sorted: &Sorted) -> Turn {
        for (task, why) in &sorted.useless {
            self.draft.end(task, DesiredState::Shutdown, why);
        }
        match (sorted.good.first(), sorted.stale.is_empty()) {
            (Some(good), _) if good.status.state == TaskState::Running => {
                self.retire(seat, sorted, good);
            }
            (Some(good), _) => self.wait_for(seat, sorted, good),
            (None, false) => return self.replace(seat, sorted),
            (None, true) => self.fill(seat, sorted),
        }
        Turn::None
    }

    /// The seat has what was asked for: what served until now goes.
    fn retire(&mut self, seat: &Seat, sorted: &Sorted, good: &Task) {
        for stale in &sorted.stale {
            self.draft
                .end(&stale.task, DesiredState::Shutdown, &stale.why);
        }
        let replaced = seat.slot.was_replaced() || !sorted.stale.is_empty();
        if replaced && !self.draft.is_due(good.status.at.after(self.roll.gap)) {
            self.busy += 1;
        }
    }

    /// The new task does not run yet.
    fn wait_for(&mut self, seat: &Seat, sorted: &Sorted, good: &Task) {
        let replacing = !sorted.stale.is_empty() || self.roll.active && seat.slot.was_replaced();
        if replacing && !self.is_forgiven(seat) {
            self.busy += 1;
        }
        self.give_up(seat, sorted, &good.status.message);
    }

    /// What serves is not as asked for, and nothing takes its place yet.
    fn replace(&mut self, seat: &Seat, sorted: &Sorted) -> Turn {
        let Some(ended) = seat.ended(self.service, self.roll.frozen) else {
            return Turn::Waits;
        };
        let why = match ended.status.error.as_str() {
            "" => "it ended".to_owned(),
            error => error.to_owned(),
        };
        self.give_up(seat, sorted, &why);
        match self.decide(seat, ended) {
            Restart::Now => {
                self.create(seat);
                self.busy += 1;
            }
            Restart::At(due) => {
                self.draft.wake(due);
                self.busy += usize::from(!self.is_forgiven(seat));
            }
            Restart::Never => {}
        }
        Turn::None
    }

    /// Nothing serves.
    fn fill(&mut self, seat: &Seat, sorted: &Sorted) {
        if self.stops_now(sorted) || seat.slot.is_stopping(self.draft) {
            self.busy += 1;
            return;
        }
        let held_up = self.roll.active && !self.is_forgiven(seat);
        let restart = match seat.ended(self.service, self.roll.frozen) {
            Some(ended) => self.decide(seat, ended),
            None => Restart::Now,
        };
        match restart {
            Restart::Now => {
                self.create(seat);
                let replaces = held_up && seat.slot.was_replaced();
                self.busy += usize::from(replaces);
            }
            Restart::At(due) => {
                self.draft.wake(due);
                self.busy += usize::from(held_up);
            }
            Restart::Never => {}
        }
    }

    /// A task that is told to end in this round has to be waited for.
    fn stops_now(&self, sorted: &Sorted) -> bool {
        sorted.useless.iter().any(|(task, _)| {
            let node = task.node.and_then(|id| self.draft.state.node(id));
            task.status.state >= TaskState::Assigned && node.is_some_and(|node| is_up(node))
        })
    }

    fn decide(&self, seat: &Seat, ended: &Task) -> Restart {
        // Who resumes an update wants to see it tried.
        let before = self.roll.active && ended.meta.created_at < self.roll.since;
        if before && ended.status.state != TaskState::Complete {
            return Restart::Now;
        }
        decide(&seat.slot, ended, self.draft.now)
    }

    fn is_forgiven(&self, seat: &Seat) -> bool {
        self.roll.forgiven.contains(&seat.place.slot)
    }

    /// A drain has to end: what was to serve until its successor runs does not serve for ever.
    fn give_up(&mut self, seat: &Seat, sorted: &Sorted, why: &str) {
        for stale in sorted.stale.iter().filter(|stale| stale.moved) {
            let due = self.move_deadline(seat, stale);
            if self.draft.is_due(due) {
                let minutes = MOVE_DEADLINE.as_secs() / 60;
                let why = format!(
                    "{}, and no other one ran within {minutes} min: {why}",
                    stale.why
                );
                self.draft.end(&stale.task, DesiredState::Shutdown, &why);
            }
        }
    }

    fn move_deadline(&self, seat: &Seat, stale: &Stale) -> Timestamp {
        let node = stale.task.node.and_then(|id| self.draft.state.node(id));
        let told = node.map_or(self.draft.now, |node| node.meta.updated_at);
        let tasks = seat.slot.tasks.iter();
        let newer: Vec<&Arc<Task>> = tasks
            .skip_while(|task| task.id != stale.task.id)
            .skip(1)
            .collect();
        let failed = newer.iter().filter(|t| t.status.state.is_terminal());
        let grace = match newer.first() {
            Some(first) if failed.count() < MOVE_ATTEMPTS => {
                first.meta.created_at.after(MOVE_GRACE)
            }
            Some(_) | None => told,
        };
        told.after(MOVE_DEADLINE).max(grace)
    }

    /// Begins with as many seats as the limits allow.
    fn take_turns(&mut self, turns: &[(&Seat, &Sorted)]) {
        let parallelism = match self.roll.config.parallelism {
            0 => usize::MAX,
            parallelism => usize::try_from(parallelism).unwrap_or(usize::MAX),
        };
        let room = parallelism.saturating_sub(self.busy);
        for (seat, sorted) in turns.iter().take(room) {
            let order = self.roll.config.order;
            // Where another node can take it, nobody has to do without while it moves.
            let moves = seat.place.node.is_none() && sorted.stale.iter().any(|s| s.moved);
            if moves || order == UpdateOrder::StartFirst {
                self.create(seat);
            } else {
                for stale in &sorted.stale {
                    self.draft
                        .end(&stale.task, DesiredState::Shutdown, &stale.why);
                }
            }
        }
    }

    fn create(&mut self, seat: &Seat) {
        for task in &seat.slot.tasks {
            if task.desired == DesiredState::Running && task.status.state.is_terminal() {
                self.draft.end(task, DesiredState::Shutdown, "");
            }
        }
        let service = self.service;
        let spec = match service.previous.as_deref() {
            // No more tasks of a spec that fails, where there were none before.
            Some(previous) if self.roll.frozen && !has_new(seat, service) => previous,
            Some(_) | None => &service.spec,
        };
        self.draft.create(service, spec, seat.place);
    }
}

/// The update that is paused has reached this seat.
fn has_new(seat: &Seat, service: &Service) -> bool {
    let last = seat.slot.tasks.last();
    last.is_some_and(|task| is_current(task, service))
}
