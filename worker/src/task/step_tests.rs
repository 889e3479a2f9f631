use super::*;
use crate::fixture;
use crate::runtime::Exit;
use crate::runtime::ExitReason;
use std::time::UNIX_EPOCH;
use weft_proto::task_state::TASK_STATES;

fn exited(reason: ExitReason) -> TaskObservation {
    TaskObservation::Exited(Exit {
        reason,
        oom_killed: false,
        at: UNIX_EPOCH,
    })
}

fn running() -> TaskObservation {
    TaskObservation::Running {
        pid: 7,
        started_at: UNIX_EPOCH,
    }
}

fn all_seen() -> Vec<Option<TaskObservation>> {
    vec![
        None,
        Some(TaskObservation::Prepared),
        Some(TaskObservation::Starting),
        Some(running()),
        Some(exited(ExitReason::Code(0))),
        Some(exited(ExitReason::Signal(9))),
        Some(exited(ExitReason::Lost("gone".into()))),
    ]
}

const DESIRED: [DesiredState; 3] = [
    DesiredState::Running,
    DesiredState::Shutdown,
    DesiredState::Remove,
];

struct World {
    task: Task,
    netns: Option<Result<PathBuf, String>>,
    seen: Option<TaskObservation>,
    network_given_up: bool,
    busy: bool,
    health: Health,
}

impl World {
    fn new(reported: TaskState, desired: DesiredState, seen: Option<TaskObservation>) -> Self {
        let mut task = fixture::task(1);
        task.status.state = reported;
        task.desired = desired;
        World {
            task,
            netns: Some(Ok("/ns".into())),
            seen,
            network_given_up: false,
            busy: false,
            health: Health::Unchecked,
        }
    }

    fn next(&self) -> Step {
        next(&self.view())
    }

    fn view(&self) -> View<'_> {
        View {
            task: &self.task,
            reported: self.task.status.state,
            netns: self.netns.as_ref(),
            network_given_up: self.network_given_up,
            seen: self.seen.as_ref(),
            health: &self.health,
            busy: self.busy,
            failure: None,
            now: Timestamp::from_millis(1),
        }
    }

    /// Reports until there is something else to do.
    fn settle(mut self) -> (Vec<TaskState>, Step) {
        let mut told = Vec::new();
        loop {
            match self.next() {
                Step::Report(status) => {
                    told.push(status.state);
                    self.task.status = status;
                }
                step @ (Step::Wait | Step::Start(_) | Step::Stop) => return (told, step),
            }
        }
    }
}

#[test]
fn every_report_is_one_that_an_agent_may_make() {
    for state in TASK_STATES
        .into_iter()
        .filter(|s| *s >= TaskState::Assigned)
    {
        for desired in DESIRED {
            for seen in all_seen() {
                let world = World::new(state, desired, seen.clone());
                if let Step::Report(status) = world.next() {
                    assert!(
                        state.agent_may_report(status.state),
                        "{state} {desired} {seen:?} -> {}",
                        status.state
                    );
                }
            }
        }
    }
}

#[test]
fn an_ended_task_is_never_started_again() {
    for state in TASK_STATES.into_iter().filter(|s| s.is_terminal()) {
        for desired in DESIRED {
            for seen in all_seen() {
                let alive = seen.as_ref().is_some_and(|seen| seen.exit().is_none());
                let (told, step) = World::new(state, desired, seen).settle();
                assert_eq!(told, []);
                assert_eq!(step, if alive { Step::Stop } else { Step::Wait });
            }
        }
    }
}

#[test]
fn a_task_that_should_end_is_stopped_and_then_reported_as_shut_down() {
    for desired in [DesiredState::Shutdown, DesiredState::Remove] {
        for state in TASK_STATES
            .into_iter()
            .filter(|s| *s >= TaskState::Assigned && !s.is_terminal())
        {
            for seen in all_seen() {
                let alive = seen.as_ref().is_some_and(|seen| seen.exit().is_none());
                let outcome = World::new(state, desired, seen).settle();
                if alive {
                    assert_eq!(outcome, (vec![], Step::Stop));
                } else {
                    assert_eq!(outcome, (vec![TaskState::Shutdown], Step::Wait));
                }
            }
        }
    }
}

#[test]
fn a_new_task_is_accepted_prepared_and_started() {
    let (told, step) = World::new(TaskState::Assigned, DesiredState::Running, None).settle();
    assert_eq!(told, [TaskState::Accepted, TaskState::Preparing]);
    assert_eq!(step, Step::Start("/ns".into()));
}

#[test]
fn a_task_waits_for_its_network() {
    let mut world = World::new(TaskState::Assigned, DesiredState::Running, None);
    world.netns = None;
    let (told, step) = world.settle();
    assert_eq!(told, [TaskState::Accepted, TaskState::Preparing]);
    assert_eq!(step, Step::Wait);
}

#[test]
fn a_network_that_stays_broken_fails_the_task_with_its_reason() {
    let mut world = World::new(TaskState::Preparing, DesiredState::Running, None);
    world.netns = Some(Err("no bridge".into()));
    assert_eq!(world.next(), Step::Wait);
    world.network_given_up = true;
    let Step::Report(status) = world.next() else {
        panic!("a report");
    };
    assert_eq!(status.state, TaskState::Failed);
    assert_eq!(status.error, "network: no bridge");
}

#[test]
fn a_broken_network_does_not_end_a_running_task() {
    let mut world = World::new(TaskState::Running, DesiredState::Running, Some(running()));
    world.netns = Some(Err("no bridge".into()));
    world.network_given_up = true;
    assert_eq!(world.next(), Step::Wait);
}

#[test]
fn a_started_task_of_which_nothing_is_left_was_lost_in_a_reboot() {
    for state in [TaskState::Starting, TaskState::Running] {
        let world = World::new(state, DesiredState::Running, None);
        let Step::Report(status) = world.next() else {
            panic!("a report");
        };
        assert_eq!(status.state, TaskState::Failed);
        assert_eq!(status.error, "lost in a reboot of its node");
    }
}

#[test]
fn nothing_is_concluded_from_absence_while_work_is_under_way() {
    for desired in DESIRED {
        let mut world = World::new(TaskState::Starting, desired, None);
        world.busy = true;
        assert_eq!(world.next(), Step::Wait);
    }
}

#[test]
fn a_task_prepared_by_an_earlier_daemon_is_started() {
    let seen = Some(TaskObservation::Prepared);
    let (told, step) = World::new(TaskState::Preparing, DesiredState::Running, seen).settle();
    assert_eq!(told, [TaskState::Starting]);
    assert_eq!(step, Step::Start("/ns".into()));
}

#[test]
fn running_is_told_once_with_the_time_of_the_start() {
    let (told, step) =
        World::new(TaskState::Assigned, DesiredState::Running, Some(running())).settle();
    assert_eq!(told, [TaskState::Accepted, TaskState::Running]);
    assert_eq!(step, Step::Wait);
}

#[test]
fn an_end_by_itself_is_complete_or_failed() {
    for (reason, state) in [
        (ExitReason::Code(0), TaskState::Complete),
        (ExitReason::Code(3), TaskState::Failed),
        (ExitReason::Signal(11), TaskState::Failed),
    ] {
        let seen = Some(exited(reason));
        let outcome = World::new(TaskState::Running, DesiredState::Running, seen).settle();
        assert_eq!(outcome, (vec![state], Step::Wait));
    }
}

#[test]
fn a_task_with_a_health_check_runs_from_when_it_is_healthy() {
    let world = |health| {
        let mut world = World::new(TaskState::Assigned, DesiredState::Running, Some(running()));
        world.health = health;
        world.settle()
    };
    let accepted = [TaskState::Accepted, TaskState::Starting];
    assert_eq!(world(Health::Starting), (accepted.to_vec(), Step::Wait));
    let (told, step) = world(Health::Healthy);
    assert_eq!(told, [TaskState::Accepted, TaskState::Running]);
    assert_eq!(step, Step::Wait);
    let (told, step) = world(Health::Unhealthy("no".to_owned()));
    assert_eq!((told.as_slice(), step), (&accepted[..1], Step::Stop));
}

#[test]
fn an_unhealthy_task_failed_whatever_code_it_ended_with() {
    let ended = Some(exited(ExitReason::Code(0)));
    let mut world = World::new(TaskState::Running, DesiredState::Running, ended);
    world.health = Health::Unhealthy("its check failed".to_owned());
    let Step::Report(status) = world.next() else {
        panic!("nothing is told");
    };
    assert_eq!(status.state, TaskState::Failed);
    assert_eq!(status.error, "its check failed");
    // One that the cluster wanted to end was stopped for that.
    world.task.desired = DesiredState::Shutdown;
    assert!(matches!(world.next(), Step::Report(status) if status.state == TaskState::Shutdown));
}
