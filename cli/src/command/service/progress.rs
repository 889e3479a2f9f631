//! How far a service is: pure decisions over what a manager listed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::TaskId;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::UpdateState;
use weft_proto::spec::RestartCondition;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// How many ends of one slot are enough to say that a service does not work as it was asked for.
const ENOUGH: usize = 3;

/// How many reasons a line of progress tells.
const REASONS: usize = 3;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    /// How many tasks there should be, or how many should complete.
    pub(super) wanted: u32,
    /// When the service was changed: what failed before does not count.
    pub(super) since: Timestamp,
    /// The change rolls over: towards its new spec, or back to the one before.
    pub(super) rolls: Option<UpdateState>,
}

impl Goal {
    /// What to wait for after `changed` was answered.
    pub(super) fn of(changed: &Service) -> Goal {
        let update = changed.update.as_ref().map(|status| status.state);
        Goal {
            wanted: changed.spec.mode.slots().unwrap_or_default(),
            since: changed.meta.updated_at,
            rolls: update.filter(|state| !state.has_ended()),
        }
    }
}

/// How far a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Its tasks are meant to end.
    pub(super) is_job: bool,
    /// What a change that rolls over does at the moment; `None`: it is through.
    pub(super) rolling: Option<String>,
    /// The managers have watched the change come to its end.
    pub(super) proven: bool,
    /// The tasks that are as asked for.
    pub(super) done: BTreeSet<TaskId>,
    /// How many should be.
    pub(super) total: usize,
    /// Tasks that are still there and should not be.
    pub(super) surplus: usize,
    /// What the others wait for, each as `web.1: reason`.
    pub(super) reasons: Vec<String>,
    /// Why it will not get there.
    pub(super) hopeless: Option<String>,
}

impl Progress {
    /// Everything is as it was asked for.
    pub(super) fn is_complete(&self) -> bool {
        self.rolling.is_none() && self.done.len() == self.total && self.surplus == 0
    }

    /// A line for people.
    pub(super) fn line(&self) -> String {
        let verb = if self.is_job { "completed" } else { "run" };
        let mut line = match (self.total, self.surplus) {
            (0, 0) => "no task is left".to_owned(),
            (0, surplus) => format!("{surplus} tasks to be stopped"),
            (total, 0) => format!("{} of {total} tasks {verb}", self.done.len()),
            (total, surplus) => {
                format!(
                    "{} of {total} tasks {verb}, {surplus} to be stopped",
                    self.done.len()
                )
            }
        };
        if let Some(rolling) = &self.rolling {
            line.push_str("; ");
            line.push_str(rolling);
        }
        if !self.reasons.is_empty() {
            line.push_str("; ");
            line.push_str(&self.reasons());
        }
        line
    }

    /// What is waited for: the first few, and how many more.
    pub(super) fn reasons(&self) -> String {
        let shown: Vec<&str> = self.reasons.iter().take(REASONS).map(|r| &**r).collect();
        let mut text = shown.join("; ");
        if let Some(more @ 1..) = self.reasons.len().checked_sub(REASONS) {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }
}

/// How far `service` is, given tasks of any services.
pub(super) fn look(service: &Service, tasks: &[Task], goal: &Goal) -> Progress {
    let mut slots: BTreeMap<u32, Vec<&Task>> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.service == service.id) {
        slots.entry(task.slot).or_default().push(task);
    }
    let mut progress = Progress {
        is_job: service.spec.mode.is_job(),
        total: usize::try_from(goal.wanted).unwrap_or(usize::MAX),
        ..Progress::default()
    };
    for tasks in slots.values_mut() {
        tasks.sort_by_key(|task| std::cmp::Reverse((task.is_wanted(), task.meta.created_at)));
        if progress.is_job {
            look_at_work(service, tasks, &mut progress);
        } else {
            look_at_slot(service, tasks, goal, &mut progress);
        }
    }
    if let Some(towards) = goal.rolls {
        look_at_update(service, towards, &mut progress);
    }
    progress
}

/// A change that rolls over is what the managers say of it.
fn look_at_update(service: &Service, towards: UpdateState, progress: &mut Progress) {
    let Some(status) = &service.update else {
        return;
    };
    let because = match status.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    match status.state {
        UpdateState::Updating | UpdateState::RollingBack => {
            progress.rolling = Some(format!("{}{because}", status.state));
            // Whether enough of them failed is for the managers to say.
            progress.hopeless = None;
        }
        UpdateState::Completed => progress.proven = true,
        UpdateState::RollbackCompleted if towards.is_rollback() => progress.proven = true,
        UpdateState::RollbackCompleted => {
            progress.hopeless = Some(format!("it was rolled back{because}"));
        }
        UpdateState::Paused => {
            progress.hopeless = Some(format!("its update is paused{because}"));
        }
        UpdateState::RollbackPaused => {
            progress.hopeless = Some(format!("its rollback is paused{because}"));
        }
    }
}

/// One slot of a job; `tasks` newest first.
fn look_at_work(service: &Service, tasks: &[&Task], progress: &mut Progress) {
    let run = service.run.map_or(0, |run| run.iteration);
    let (present, past): (Vec<&Task>, Vec<&Task>) =
        tasks.iter().partition(|task| task.iteration == run);
    let alive = |task: &&&Task| !task.status.state.is_terminal();
    progress.surplus += past.iter().filter(alive).count();
    let complete = |task: &&&Task| task.status.state == TaskState::Complete;
    if let Some(done) = present.iter().find(complete) {
        progress.done.insert(done.id);
        return;
    }
    if let Some(newest) = present.first()
        && newest.status.state != TaskState::Running
    {
        progress.reasons.push(reason(newest));
    }
    progress.hopeless = progress.hopeless.take().or(hopeless(service, &present));
}

/// `tasks` are those of one slot, newest first.
fn look_at_slot(service: &Service, tasks: &[&Task], goal: &Goal, progress: &mut Progress) {
    let recent: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.meta.created_at >= goal.since)
        .copied()
        .collect();
    let current = |task: &Task| task.spec == service.spec.task;
    for task in tasks.iter().filter(|task| !task.status.state.is_terminal()) {
        if !task.is_wanted() || !current(task) {
            progress.surplus += 1;
        } else if task.status.state == TaskState::Running {
            progress.done.insert(task.id);
        } else {
            progress.reasons.push(reason(task));
        }
    }
    let Some(newest) = tasks.first().filter(|task| !task.is_wanted()) else {
        progress.hopeless = progress.hopeless.take().or(hopeless(service, &recent));
        return;
    };
    if !current(newest) || newest.meta.created_at < goal.since {
        return;
    }
    let condition = service.spec.task.restart.condition;
    if newest.status.state == TaskState::Complete && condition != RestartCondition::Any {
        // It did what it was there for, and is not to be run again.
        progress.done.insert(newest.id);
    } else if newest.status.state >= TaskState::Failed {
        progress.reasons.push(reason(newest));
    }
    progress.hopeless = progress.hopeless.take().or(hopeless(service, &recent));
}

/// Why a slot will not get there: its tasks end again and again, or are not replaced.
fn hopeless(service: &Service, tasks: &[&Task]) -> Option<String> {
    let restart = &service.spec.task.restart;
    let ended = |task: &&&Task| match task.status.state {
        TaskState::Failed | TaskState::Rejected => true,
        TaskState::Complete => restart.condition == RestartCondition::Any,
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
    let attempts = usize::try_from(restart.max_attempts).unwrap_or(usize::MAX);
    let enough = match (restart.condition, attempts) {
        (RestartCondition::None, _) => 1,
        (RestartCondition::OnFailure | RestartCondition::Any, 0) => ENOUGH,
        (RestartCondition::OnFailure | RestartCondition::Any, attempts) => {
            ENOUGH.min(attempts.saturating_add(1))
        }
    };
    let ended: Vec<&&Task> = tasks
        .iter()
        .filter(|task| task.spec == service.spec.task)
        .filter(ended)
        .collect();
    let last = ended.first().filter(|_| ended.len() >= enough)?;
    let times = match ended.len() {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    Some(format!("{} ended {times}: {}", last.name(), why(last)))
}

fn reason(task: &Task) -> String {
    format!("{}: {}", task.name(), why(task))
}

fn why(task: &Task) -> String {
    let status = &task.status;
    match (
        status.error.as_str(),
        status.exit_code,
        status.message.as_str(),
    ) {
        ("", Some(code), _) => format!("exit code {code}"),
        ("", None, "") => status.state.to_string(),
        ("", None, message) => message.to_owned(),
        (error, _, _) => error.to_owned(),
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
