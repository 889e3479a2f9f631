//! What is to be done next about a task. Pure.

use crate::runtime::TaskObservation;
use crate::task::Failure;
use crate::task::Health;
use crate::task::end;
use std::path::PathBuf;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// Everything that is known here about a task.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What the cluster wants and believes.
    pub task: &'a Task,
    /// The newest state that this node reported or the cluster knows.
    pub reported: TaskState,
    /// Its network namespace, or why there is none; `None`: no round was made for it yet.
    pub netns: Option<&'a Result<PathBuf, String>>,
    /// Its network could not be made for so long that the cluster should try elsewhere.
    pub network_given_up: bool,
    /// What the runtime has of it; `None`: nothing.
    pub seen: Option<&'a TaskObservation>,
    /// What its health check says.
    pub health: &'a Health,
    /// A verb is being carried out for it.
    pub busy: bool,
    /// Why it could not be started, if so.
    pub failure: Option<&'a Failure>,
    /// The time now.
    pub now: Timestamp,
}

/// One thing to do about a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing until something changes.
    Wait,
    /// Run it in this network namespace.
    Start(PathBuf),
    /// End it.
    Stop,
    /// Say how far it is, then ask again.
    Report(TaskStatus),
}

/// What is to be done next. A task that ended, here or in the cluster's eyes, is never started
/// again: a restart is a new task.
pub fn next(view: &View<'_>) -> Step {
    if view.reported.is_terminal() {
        return match view.seen {
            Some(TaskObservation::Exited(_)) | None => Step::Wait,
            // The cluster gave it up while it still ran, or its start failed half-way.
            Some(
                TaskObservation::Prepared
                | TaskObservation::Starting
                | TaskObservation::Running { .. },
            ) => Step::Stop,
        };
    }
    match view.task.desired {
        DesiredState::Running => towards_running(view),
        DesiredState::Shutdown | DesiredState::Remove => towards_end(view),
    }
}

fn towards_end(view: &View<'_>) -> Step {
    match view.seen {
        // A start is under way; what it leads to is stopped then.
        None if view.busy => Step::Wait,
        None => Step::Report(end::never_started(view.now)),
        Some(TaskObservation::Exited(exit)) => Step::Report(end::shut_down(exit)),
        Some(
            TaskObservation::Prepared | TaskObservation::Starting | TaskObservation::Running { .. },
        ) => Step::Stop,
    }
}

fn towards_running(view: &View<'_>) -> Step {
    if view.reported < TaskState::Accepted {
        return report(view, TaskState::Accepted, "accepted");
    }
    match view.seen {
        Some(TaskObservation::Exited(exit)) => Step::Report(match view.health {
            Health::Unhealthy(why) => end::unhealthy(why, exit),
            Health::Unchecked | Health::Starting | Health::Healthy => {
                end::ended(exit, &view.task.spec.limits)
            }
        }),
        Some(TaskObservation::Running { started_at, .. }) => runs(view, (*started_at).into()),
        Some(TaskObservation::Starting) => {
            if view.reported < TaskState::Starting {
                report(view, TaskState::Starting, starting(view))
            } else {
                Step::Wait
            }
        }
        Some(TaskObservation::Prepared) => prepared(view),
        None if view.busy => Step::Wait,
        None if view.reported >= TaskState::Starting => Step::Report(end::lost(view.now)),
        None => unprepared(view),
    }
}

/// A task that is checked runs, as far as others know, from when it is healthy.
fn runs(view: &View<'_>, started: Timestamp) -> Step {
    let running = |at| Step::Report(status(TaskState::Running, "running", at));
    match view.health {
        Health::Unhealthy(_) => Step::Stop,
        Health::Starting if view.reported < TaskState::Starting => {
            report(view, TaskState::Starting, starting(view))
        }
        Health::Unchecked if view.reported < TaskState::Running => running(started),
        Health::Healthy if view.reported < TaskState::Running => running(view.now),
        Health::Unchecked | Health::Starting | Health::Healthy => Step::Wait,
    }
}

fn unprepared(view: &View<'_>) -> Step {
    if view.reported < TaskState::Preparing {
        return report(view, TaskState::Preparing, "preparing networks and files");
    }
    match ready(view) {
        Ok(netns) => Step::Start(netns),
        Err(step) => step,
    }
}

fn prepared(view: &View<'_>) -> Step {
    match ready(view) {
        Ok(_) if view.reported < TaskState::Starting => {
            report(view, TaskState::Starting, starting(view))
        }
        Ok(netns) => Step::Start(netns),
        Err(step) => step,
    }
}

/// Where to start, or what to do instead.
fn ready(view: &View<'_>) -> Result<PathBuf, Step> {
    if let Some(failure) = view.failure {
        return Err(Step::Report(end::not_startable(failure, view)));
    }
    match view.netns {
        Some(Ok(path)) => Ok(path.clone()),
        Some(Err(reason)) if view.network_given_up => {
            Err(Step::Report(end::no_network(reason, view.now)))
        }
        Some(Err(_)) | None => Err(Step::Wait),
    }
}

fn starting(view: &View<'_>) -> &'static str {
    match view.health {
        Health::Unchecked => "starting",
        Health::Starting | Health::Healthy | Health::Unhealthy(_) => {
            "starts, and runs once its health check succeeds"
        }
    }
}

fn report(view: &View<'_>, state: TaskState, message: &str) -> Step {
    Step::Report(status(state, message, view.now))
}

fn status(state: TaskState, message: &str, at: Timestamp) -> TaskStatus {
    TaskStatus {
        state,
        at,
        message: message.to_owned(),
        error: String::new(),
        exit_code: None,
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
