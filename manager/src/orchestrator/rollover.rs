//! How far a change of a service's spec is: watches the new tasks, and ends, stops or turns back.

use crate::orchestrator::draft::Draft;
use crate::orchestrator::restart::Restart;
use crate::orchestrator::restart::decide;
use crate::orchestrator::rollback;
use crate::orchestrator::seat::Seat;
use crate::orchestrator::seat::Sorted;
use crate::orchestrator::slot::is_current;
use std::collections::BTreeSet;
use std::time::Duration;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::UpdateState;
use weft_proto::object::UpdateStatus;
use weft_proto::spec::FailureAction;
use weft_proto::spec::RestartCondition;
use weft_proto::spec::UpdateConfig;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// How long a new task may take until it runs, before it counts as failed: long enough for a large
/// image on a slow line, and the end of every wait for a node.
const START_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// The time between a task's making and its start that its watch allows for. The state knows when a
/// task was made and when it ended, not when it began to run.
const START: Duration = Duration::from_secs(30);
/// A wait is worth telling after this.
const NOTABLE: Duration = Duration::from_secs(10);

/// How tasks are replaced in this round.
#[derive(Clone, Debug)]
pub(super) struct Roll {
    /// An update is paused: tasks of every spec stay.
    pub(super) frozen: bool,
    /// An update is under way.
    pub(super) active: bool,
    /// Since when.
    pub(super) since: Timestamp,
    /// What limits replacements.
    pub(super) config: UpdateConfig,
    /// How long a new task must run before the next seat's turn.
    pub(super) gap: Duration,
    /// Seats that failed and hold up nobody.
    pub(super) forgiven: BTreeSet<u32>,
}

/// No more tasks are replaced until somebody updates again.
pub(super) fn is_paused(service: &Service) -> bool {
    let state = service.update.as_ref().map(|status| status.state);
    matches!(
        state,
        Some(UpdateState::Paused | UpdateState::RollbackPaused)
    )
}

/// Brings the service's update status up to date. `None` when that changed what is to be done.
pub(super) fn step(
    draft: &mut Draft<'_>,
    service: &Service,
    seats: &[Seat],
    sorted: &[Sorted],
) -> Option<Roll> {
    let under_way = service.update.as_ref().filter(|s| !s.state.has_ended());
    let Some(old) = under_way else {
        let old = sorted.iter().flat_map(|sorted| &sorted.stale);
        return Some(Roll {
            frozen: is_paused(service),
            // A node that was away during an update catches up.
            active: old.into_iter().any(|stale| !stale.moved),
            since: Timestamp::default(),
            config: service.spec.update,
            gap: service.spec.update.delay,
            forgiven: BTreeSet::new(),
        });
    };
    let mut status = old.clone();
    if status.started == Timestamp::default() {
        status.started = draft.now;
    }
    let config = match status.state.is_rollback() {
        true => service.spec.rollback,
        false => service.spec.update,
    };
    let watch = Watch {
        service,
        since: status.started,
        config,
    };
    let failures: Vec<Option<String>> = seats
        .iter()
        .map(|seat| watch.failure(draft, seat))
        .collect();
    let failed = failures.iter().flatten().count();
    let first = failures.iter().flatten().next().cloned();
    if config.max_failure_ratio.is_exceeded_by(failed, seats.len())
        && config.failure_action != FailureAction::Continue
    {
        let why = format!(
            "{failed} of {} tasks failed: {}",
            seats.len(),
            first.unwrap_or_default()
        );
        draft.service(stop(draft, service, &status, config.failure_action, &why));
        return None;
    }
    let mut open = 0_usize;
    for ((seat, sorted), failure) in seats.iter().zip(sorted).zip(&failures) {
        open += usize::from(!watch.is_settled(draft, seat, sorted, failure.is_some()));
    }
    if open == 0 {
        status.state = match status.state.is_rollback() {
            true => UpdateState::RollbackCompleted,
            false => UpdateState::Completed,
        };
        status.ended = Some(draft.now);
        if !status.state.is_rollback() {
            let note =
                first.map(|first| format!("{failed} of {} tasks failed: {first}", seats.len()));
            status.message = note.unwrap_or_default();
        }
    } else if !status.state.is_rollback() {
        // A rollback goes on telling why it was begun.
        status.message = waits(draft, sorted).unwrap_or_default();
    }
    let since = status.started;
    if status != *old {
        let mut service = service.clone();
        service.update = Some(status);
        draft.service(service);
    }
    let forgiven = seats.iter().zip(&failures);
    let forgiven = forgiven.filter(|(_, failure)| failure.is_some());
    Some(Roll {
        frozen: false,
        active: open > 0,
        since,
        config,
        gap: watch.gap(draft, sorted),
        forgiven: forgiven.map(|(seat, _)| seat.place.slot).collect(),
    })
}

/// Too many failed.
fn stop(
    draft: &Draft<'_>,
    service: &Service,
    status: &UpdateStatus,
    action: FailureAction,
    why: &str,
) -> Service {
    let back = action == FailureAction::Rollback && !status.state.is_rollback();
    let mut why = why.to_owned();
    if back {
        match rollback::automatic(draft.state, service, &why, draft.now) {
            Ok(service) => return service,
            Err(obstacle) => why = format!("{why}; not rolled back: {obstacle}"),
        }
    }
    let mut service = service.clone();
    service.update = Some(UpdateStatus {
        state: match status.state.is_rollback() {
            true => UpdateState::RollbackPaused,
            false => UpdateState::Paused,
        },
        started: status.started,
        ended: Some(draft.now),
        message: why,
    });
    service
}

/// The longest wait worth telling.
fn waits(draft: &mut Draft<'_>, sorted: &[Sorted]) -> Option<String> {
    let good = sorted.iter().filter_map(|sorted| sorted.good.first());
    let waiting = good.filter(|task| task.status.state <= TaskState::Pending);
    let oldest = waiting.min_by_key(|task| (task.meta.created_at, task.slot))?;
    let due = oldest.meta.created_at.after(NOTABLE);
    draft
        .is_due(due)
        .then(|| format!("waits for {}: {}", oldest.name(), oldest.status.message))
}

struct Watch<'a> {
    service: &'a Service,
    since: Timestamp,
    config: UpdateConfig,
}

impl Watch<'_> {
    fn is_new(&self, task: &Task) -> bool {
        is_current(task, self.service) && task.meta.created_at >= self.since
    }

    /// How the seat's new tasks failed; `None`: they did not.
    fn failure(&self, draft: &mut Draft<'_>, seat: &Seat) -> Option<String> {
        let news: Vec<_> = seat.slot.tasks.iter().filter(|t| self.is_new(t)).collect();
        for task in news {
            let state = task.status.state;
            if task.is_wanted() && state < TaskState::Running {
                if draft.is_due(task.meta.created_at.after(START_DEADLINE)) {
                    let minutes = START_DEADLINE.as_secs() / 60;
                    let waits = &task.status.message;
                    return Some(format!(
                        "{} did not run within {minutes} min: {waits}",
                        task.name()
                    ));
                }
            } else if self.has_failed(draft, seat, task) {
                return Some(format!("{}: {}", task.name(), why(task)));
            }
        }
        None
    }

    fn has_failed(&self, draft: &Draft<'_>, seat: &Seat, task: &Task) -> bool {
        let restart = task.spec.restart.condition;
        let ended = match task.status.state {
            TaskState::Failed | TaskState::Rejected => true,
            TaskState::Complete => restart == RestartCondition::Any,
            TaskState::New
            | TaskState::Pending
            | TaskState::Assigned
            | TaskState::Accepted
            | TaskState::Preparing
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Shutdown
            | TaskState::Orphaned => false,
        };
        let never_ran = task.status.exit_code.is_none();
        let life = task.status.at.since(task.meta.created_at);
        let early = life <= self.config.monitor.saturating_add(START);
        let for_good = || {
            let last = seat.slot.ended().is_some_and(|ended| ended.id == task.id);
            last && decide(&seat.slot, task, draft.now) == Restart::Never
        };
        ended && (never_ran || early || for_good())
    }

    /// Nothing more is to happen in the seat for this update.
    fn is_settled(
        &self,
        draft: &mut Draft<'_>,
        seat: &Seat,
        sorted: &Sorted,
        failed: bool,
    ) -> bool {
        let ended = seat.ended(self.service, false);
        let over = ended.is_some_and(|task| decide(&seat.slot, task, draft.now) == Restart::Never);
        if failed {
            return sorted.stale.is_empty() || over;
        }
        if !sorted.stale.is_empty() || !sorted.useless.is_empty() {
            return false;
        }
        match sorted.good.first() {
            Some(good) if good.status.state == TaskState::Running => {
                let watched = good.status.at.after(self.config.monitor);
                let replaced = good.meta.created_at >= self.since;
                (!replaced || draft.is_due(watched)) && !seat.slot.is_stopping(draft)
            }
            Some(_) => false,
            None => over,
        }
    }

    /// Until one task of the new spec has stood its watch, the others wait for that: a spec that
    /// cannot work costs one round of tasks, not all of them.
    fn gap(&self, draft: &Draft<'_>, sorted: &[Sorted]) -> Duration {
        let UpdateConfig { delay, monitor, .. } = self.config;
        let stood = |task: &Task| {
            task.status.state == TaskState::Running && task.status.at.after(monitor) <= draft.now
        };
        let proven = sorted.iter().flat_map(|s| &s.good).any(|task| stood(task));
        if proven || self.config.failure_action == FailureAction::Continue {
            delay
        } else {
            delay.max(monitor)
        }
    }
}

fn why(task: &Task) -> String {
    let status = &task.status;
    match (status.error.as_str(), status.exit_code) {
        ("", Some(code)) => format!("exit code {code}"),
        ("", None) => status.state.to_string(),
        (error, _) => error.to_owned(),
    }
}
