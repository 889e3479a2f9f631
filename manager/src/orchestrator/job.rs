//! Services whose tasks end: each seat is done once a task of the present run ended with exit code 0.

use crate::orchestrator::draft::Draft;
use crate::orchestrator::draft::Place;
use crate::orchestrator::eligible::Leave;
use crate::orchestrator::eligible::Seating;
use crate::orchestrator::eligible::must_leave;
use crate::orchestrator::eligible::seating;
use crate::orchestrator::global::by_node;
use crate::orchestrator::global::forget;
use crate::orchestrator::global::place;
use crate::orchestrator::restart::Restart;
use crate::orchestrator::restart::decide;
use crate::orchestrator::schedule::Tick;
use crate::orchestrator::schedule::tick;
use crate::orchestrator::seat::Seat;
use crate::orchestrator::slot::Slot;
use crate::orchestrator::slot::slots;
use crate::store::State;
use weft_proto::object::JobRun;
use weft_proto::object::Node;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::Mode;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// Adds the steps for one job.
pub(super) fn plan(draft: &mut Draft<'_>, service: &Service) {
    let now = draft.now;
    let mut run = service.run.unwrap_or(JobRun {
        iteration: 1,
        started: Timestamp::default(),
        skipped: None,
    });
    if run.started == Timestamp::default() {
        run.started = now;
    }
    let seats = match service.spec.mode {
        Mode::ReplicatedJob { completions, .. } => numbered(draft, service, completions, run),
        Mode::GlobalJob => on_nodes(draft, service, run),
        Mode::Replicated { .. } | Mode::Global => return,
    };
    let over = seats.iter().all(|seat| has_ended(&seat.slot, run, now));
    let begins = match &service.spec.schedule {
        Some(schedule) => match tick(schedule, run, over, now) {
            Tick::At(at) => {
                draft.wake(at);
                false
            }
            Tick::Begin => true,
            Tick::Skip => {
                run.skipped = Some(now);
                let next = schedule.next_after(now);
                next.into_iter().for_each(|at| draft.wake(at));
                false
            }
            Tick::Never => false,
        },
        None => false,
    };
    if begins {
        run = JobRun {
            iteration: run.iteration.saturating_add(1),
            started: now,
            skipped: None,
        };
    }
    if service.run != Some(run) {
        let mut service = service.clone();
        service.run = Some(run);
        draft.service(service);
    }
    // With another run, another set of nodes takes part: the next round goes on from there.
    if !begins {
        work(draft, service, &seats, run);
    }
}

/// The slots 1 to N; what is beyond goes.
fn numbered(draft: &mut Draft<'_>, service: &Service, completions: u32, run: JobRun) -> Vec<Seat> {
    let mut slots = slots(draft.state, service.id);
    for (number, slot) in &slots {
        if *number > completions {
            for task in &slot.tasks {
                draft.end(task, DesiredState::Remove, "the job was scaled down");
            }
        }
    }
    (1..=completions)
        .map(|slot| Seat {
            place: Place {
                slot,
                node: None,
                iteration: run.iteration,
            },
            slot: slots.remove(&slot).unwrap_or_default(),
        })
        .collect()
}

/// A node that was there when the run began, and may run its tasks. One that was down then catches
/// up when it returns; one that joined later takes no part.
fn takes_part(node: &Node, service: &Service, run: JobRun) -> bool {
    let was_there = node.meta.created_at <= run.started;
    was_there && !matches!(seating(node, &service.spec.task), Seating::No(_))
}

fn on_nodes(draft: &mut Draft<'_>, service: &Service, run: JobRun) -> Vec<Seat> {
    let state = draft.state;
    let mut slots = by_node(state, service.id);
    let mut seats = Vec::new();
    for node in state.nodes() {
        let slot = slots.remove(&node.id).unwrap_or_default();
        if takes_part(node, service, run) {
            let place = place(node, run.iteration);
            seats.push(Seat { place, slot });
        } else {
            for task in slot.wanted() {
                draft.end(
                    task,
                    DesiredState::Shutdown,
                    "its node takes no part any more",
                );
            }
        }
    }
    forget(draft, &slots);
    seats.sort_by_key(|seat| seat.place.slot);
    seats
}

/// Ends what is left of earlier runs, and then brings this one on.
fn work(draft: &mut Draft<'_>, service: &Service, seats: &[Seat], run: JobRun) {
    let mut waits = false;
    for seat in seats {
        for task in seat.slot.tasks.iter().filter(|t| !is_of(t, run)) {
            waits |= task.is_wanted();
            draft.end(
                task,
                DesiredState::Shutdown,
                "the next run of the job begins",
            );
        }
    }
    if waits
        || seats
            .iter()
            .any(|seat| seat.slot.is_stopping(draft) && !seat.has(run))
    {
        return;
    }
    let mut active = 0;
    let mut begin = Vec::new();
    for seat in seats.iter().filter(|seat| !is_done(&seat.slot, run)) {
        match next(draft, seat, run) {
            Next::Active => active += 1,
            Next::Begin => begin.push(seat),
            Next::Nothing => {}
        }
    }
    let room = match service.spec.mode {
        Mode::ReplicatedJob {
            max_concurrent: most @ 1..,
            ..
        } => usize::try_from(most).unwrap_or(usize::MAX),
        Mode::ReplicatedJob { .. } | Mode::GlobalJob | Mode::Replicated { .. } | Mode::Global => {
            usize::MAX
        }
    };
    for seat in begin.into_iter().take(room.saturating_sub(active)) {
        if let Some(ended) = seat.slot.ended() {
            draft.end(ended, DesiredState::Shutdown, "");
        }
        draft.create(service, &service.spec, seat.place);
    }
}

enum Next {
    /// A task of it is on its way.
    Active,
    /// It wants a task.
    Begin,
    /// It waits, or was given up.
    Nothing,
}

fn next(draft: &mut Draft<'_>, seat: &Seat, run: JobRun) -> Next {
    let state = draft.state;
    let mut active = false;
    let mut moved = false;
    for task in seat.slot.wanted() {
        let why = match must_leave(state, task) {
            // A global job's task waits for its node.
            Some(Leave::Lost(_)) if seat.place.node.is_some() => None,
            Some(Leave::Lost(why)) => Some((why.to_owned(), false)),
            Some(Leave::Moved(why)) => Some((why, true)),
            None => None,
        };
        match why {
            Some((why, stops)) => {
                moved |= stops && task.status.state >= TaskState::Assigned;
                draft.end(task, DesiredState::Shutdown, &why);
            }
            None => active = true,
        }
    }
    // One at a time: what was told to end is waited for.
    if active || moved || seat.slot.is_stopping(draft) {
        return Next::Active;
    }
    if seat.place.node.is_some_and(|node| !accepts(state, node)) {
        return Next::Nothing;
    }
    let ended = seat.slot.ended().filter(|task| is_of(task, run));
    match ended.map(|ended| decide(&seat.slot, ended, draft.now)) {
        None | Some(Restart::Now) => Next::Begin,
        Some(Restart::At(due)) => {
            draft.wake(due);
            Next::Nothing
        }
        Some(Restart::Never) => Next::Nothing,
    }
}

/// The node can be given a task now.
fn accepts(state: &State, node: weft_proto::NodeId) -> bool {
    let active = weft_proto::spec::Availability::Active;
    let ready = weft_proto::object::NodeState::Ready;
    let node = state.node(node);
    node.is_some_and(|node| node.spec.availability == active && node.status.state == ready)
}

fn is_of(task: &Task, run: JobRun) -> bool {
    task.iteration == run.iteration
}

/// A task of the run ended with exit code 0.
pub(super) fn is_done(slot: &Slot, run: JobRun) -> bool {
    slot.tasks
        .iter()
        .any(|task| is_of(task, run) && task.status.state == TaskState::Complete)
}

/// Done, or given up.
fn has_ended(slot: &Slot, run: JobRun, now: Timestamp) -> bool {
    let given_up = || {
        let ended = slot.ended().filter(|task| is_of(task, run));
        let idle = slot.wanted().next().is_none();
        idle && ended.is_some_and(|ended| decide(slot, ended, now) == Restart::Never)
    };
    is_done(slot, run) || given_up()
}

/// The nodes that take part in the present run of a global job.
pub(super) fn participants(state: &State, service: &Service) -> usize {
    let run = service.run.unwrap_or(JobRun {
        iteration: 1,
        started: Timestamp::from_millis(i64::MAX),
        skipped: None,
    });
    let nodes = state.nodes();
    nodes.filter(|node| takes_part(node, service, run)).count()
}

impl Seat {
    /// The run has begun here.
    fn has(&self, run: JobRun) -> bool {
        self.slot.tasks.iter().any(|task| is_of(task, run))
    }
}
