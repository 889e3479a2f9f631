//! How far a service is: pure decisions over what a manager listed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::TaskId;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::RestartCondition;
use weft_proto::task_state::TaskState;

/// How many ends of one slot are enough to say that a service does not work as it was asked for.
const ENOUGH: usize = 3;

/// How many reasons a line of progress tells.
const REASONS: usize = 3;

/// How far a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
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
        self.done.len() == self.total && self.surplus == 0
    }

    /// A line for people.
    pub(super) fn line(&self) -> String {
        let mut line = match (self.total, self.surplus) {
            (0, 0) => "no task is left".to_owned(),
            (0, surplus) => format!("{surplus} tasks to be stopped"),
            (total, 0) => format!("{} of {total} tasks run", self.done.len()),
            (total, surplus) => {
                format!(
                    "{} of {total} tasks run, {surplus} to be stopped",
                    self.done.len()
                )
            }
        };
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
pub(super) fn look(service: &Service, tasks: &[Task]) -> Progress {
    let mut slots: BTreeMap<u32, Vec<&Task>> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.service == service.id) {
        slots.entry(task.slot).or_default().push(task);
    }
    let mut progress = Progress {
        total: usize::try_from(service.spec.mode.slots().unwrap_or_default()).unwrap_or(usize::MAX),
        ..Progress::default()
    };
    for tasks in slots.values_mut() {
        tasks.sort_by_key(|task| std::cmp::Reverse((task.is_wanted(), task.meta.created_at)));
        look_at_slot(service, tasks, &mut progress);
    }
    progress
}

/// `tasks` are those of one slot, newest first.
fn look_at_slot(service: &Service, tasks: &[&Task], progress: &mut Progress) {
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
        progress.hopeless = progress.hopeless.take().or(hopeless(service, tasks));
        return;
    };
    if !current(newest) || !is_recent(service, newest) {
        return;
    }
    let condition = service.spec.task.restart.condition;
    if newest.status.state == TaskState::Complete && condition != RestartCondition::Any {
        // It did what it was there for, and is not to be run again.
        progress.done.insert(newest.id);
    } else if newest.status.state >= TaskState::Failed {
        progress.reasons.push(reason(newest));
    }
    progress.hopeless = progress.hopeless.take().or(hopeless(service, tasks));
}

/// Made for the spec as it is now, not before the change that is waited for.
fn is_recent(service: &Service, task: &Task) -> bool {
    task.meta.created_at >= service.meta.updated_at
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
        .filter(|task| task.spec == service.spec.task && is_recent(service, task))
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
