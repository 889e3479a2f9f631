use super::Goal;
use super::Progress;
use crate::command::test_objects::service;
use crate::command::test_objects::task;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::UpdateState;
use weft_proto::object::UpdateStatus;
use weft_proto::spec::Mode;
use weft_proto::spec::RestartCondition;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

fn look(service: &Service, tasks: &[Task]) -> Progress {
    super::look(service, tasks, &Goal::of(service))
}

fn failed(service: &Service, number: u32, error: &str) -> Task {
    let mut task = task(service, 1, number, TaskState::Failed);
    task.status.error = error.to_owned();
    task
}

#[test]
fn a_service_is_complete_when_as_many_tasks_run_as_asked_for() {
    let service = service(2);
    let one = task(&service, 1, 1, TaskState::Running);
    let two = task(&service, 2, 2, TaskState::Running);
    assert!(!look(&service, &[]).is_complete());
    assert!(!look(&service, std::slice::from_ref(&one)).is_complete());
    let both = look(&service, &[one, two]);
    assert!(both.is_complete());
    assert_eq!(both.line(), "2 of 2 tasks run");
}

#[test]
fn what_a_task_waits_for_is_told() {
    let service = service(1);
    let mut pending = task(&service, 1, 1, TaskState::Pending);
    pending.status.message = "no node has 64 MiB free (3 nodes)".to_owned();
    let progress = look(&service, &[pending]);
    assert_eq!(
        progress.line(),
        "0 of 1 tasks run; web.1: no node has 64 MiB free (3 nodes)"
    );
    assert_eq!(progress.hopeless, None);
}

#[test]
fn many_reasons_are_cut_short() {
    let service = service(5);
    let tasks: Vec<Task> = (1..=5)
        .map(|slot| task(&service, slot, slot, TaskState::Preparing))
        .collect();
    assert_eq!(
        look(&service, &tasks).reasons(),
        "web.1: preparing; web.2: preparing; web.3: preparing; and 2 more"
    );
}

#[test]
fn tasks_of_an_older_spec_have_to_go_first() {
    let mut service = service(2);
    let old = task(&service, 1, 1, TaskState::Running);
    service.spec.task.force_update = 1;
    let new = task(&service, 2, 2, TaskState::Running);
    let progress = look(&service, &[old, new]);
    assert!(!progress.is_complete());
    assert_eq!(progress.line(), "1 of 2 tasks run, 1 to be stopped");
}

#[test]
fn a_service_scaled_down_is_complete_when_the_others_have_ended() {
    let service = service(1);
    let stays = task(&service, 1, 1, TaskState::Running);
    let mut leaves = task(&service, 2, 2, TaskState::Running);
    assert!(!look(&service, &[stays.clone(), leaves.clone()]).is_complete());
    leaves.desired = DesiredState::Remove;
    assert!(!look(&service, &[stays.clone(), leaves.clone()]).is_complete());
    leaves.status.state = TaskState::Shutdown;
    assert!(look(&service, &[stays, leaves]).is_complete());
}

#[test]
fn a_slot_that_fails_three_times_is_given_up_with_its_last_error() {
    let service = service(1);
    let mut tasks = vec![
        failed(&service, 1, "first"),
        failed(&service, 2, "exec nope: no such file"),
    ];
    let twice = look(&service, &tasks);
    assert_eq!(twice.hopeless, None);
    assert_eq!(
        twice.line(),
        "0 of 1 tasks run; web.1: exec nope: no such file"
    );
    tasks.push(failed(&service, 3, "exec nope: still no such file"));
    let expected = "web.1 ended 3 times: exec nope: still no such file";
    assert_eq!(look(&service, &tasks).hopeless.as_deref(), Some(expected));
    // Also while the next one is being started.
    tasks.push(task(&service, 1, 4, TaskState::Starting));
    assert_eq!(look(&service, &tasks).hopeless.as_deref(), Some(expected));
}

#[test]
fn a_task_that_is_not_replaced_is_given_up_at_once() {
    let mut service = service(1);
    service.spec.task.restart.condition = RestartCondition::None;
    let mut ended = task(&service, 1, 1, TaskState::Failed);
    ended.status.exit_code = Some(3);
    assert_eq!(
        look(&service, &[ended]).hopeless.as_deref(),
        Some("web.1 ended once: exit code 3")
    );
}

#[test]
fn what_failed_before_the_change_does_not_count() {
    let service = service(1);
    let tasks: Vec<Task> = (1..=3)
        .map(|number| {
            let mut task = failed(&service, number, "old");
            task.meta.created_at = Timestamp::from_millis(i64::from(number));
            task
        })
        .collect();
    let progress = look(&service, &tasks);
    assert_eq!((progress.hopeless, progress.reasons.len()), (None, 0));
}

#[test]
fn a_task_that_is_done_counts_where_it_is_not_to_be_run_again() {
    let mut service = service(1);
    let complete = |service: &Service, number| task(service, 1, number, TaskState::Complete);
    let again: Vec<Task> = (1..=3).map(|n| complete(&service, n)).collect();
    assert!(
        look(&service, &again)
            .hopeless
            .is_some_and(|why| why.contains("ended 3 times"))
    );
    service.spec.task.restart.condition = RestartCondition::OnFailure;
    let done = look(&service, &[complete(&service, 1)]);
    assert!(done.is_complete() && done.hopeless.is_none());
}

#[test]
fn a_service_without_replicas_is_complete_without_tasks() {
    let service = service(0);
    let none = look(&service, &[]);
    assert!(none.is_complete());
    assert_eq!(none.line(), "no task is left");
    let mut leaves = task(&service, 1, 1, TaskState::Running);
    leaves.desired = DesiredState::Remove;
    assert_eq!(look(&service, &[leaves]).line(), "1 tasks to be stopped");
}

fn rolling(state: UpdateState, message: &str) -> Service {
    let mut service = service(1);
    service.update = Some(UpdateStatus {
        state,
        started: Timestamp::default(),
        ended: None,
        message: message.to_owned(),
    });
    service
}

#[test]
fn a_change_that_rolls_over_is_through_when_the_managers_say_so() {
    let asked = Goal::of(&rolling(UpdateState::Updating, ""));
    let look = |state, message: &str| {
        let service = rolling(state, message);
        let runs = task(&service, 1, 1, TaskState::Running);
        super::look(&service, &[runs], &asked)
    };
    let watched = look(UpdateState::Updating, "waits for web.2: no suitable node");
    assert!(!watched.is_complete());
    assert_eq!(
        watched.line(),
        "1 of 1 tasks run; updating: waits for web.2: no suitable node"
    );
    assert!(look(UpdateState::Completed, "").is_complete());
    let hopeless = |state| look(state, "1 of 1 tasks failed").hopeless.unwrap();
    assert_eq!(
        hopeless(UpdateState::Paused),
        "its update is paused: 1 of 1 tasks failed"
    );
    assert_eq!(
        hopeless(UpdateState::RollbackCompleted),
        "it was rolled back: 1 of 1 tasks failed"
    );
    let back = look(UpdateState::RollingBack, "1 of 1 tasks failed");
    assert!(!back.is_complete() && back.hopeless.is_none());
}

#[test]
fn a_rollback_that_was_asked_for_is_what_is_waited_for() {
    let asked = Goal::of(&rolling(UpdateState::RollingBack, "asked for"));
    let service = rolling(UpdateState::RollbackCompleted, "asked for");
    let runs = task(&service, 1, 1, TaskState::Running);
    assert!(super::look(&service, &[runs], &asked).is_complete());
    // An update that was paused long ago is not what a change without one waits for.
    let paused = rolling(UpdateState::Paused, "");
    assert_eq!(Goal::of(&paused).rolls, None);
}

#[test]
fn a_job_is_complete_when_all_its_slots_are() {
    let mut job = service(2);
    job.spec.mode = Mode::ReplicatedJob {
        completions: 2,
        max_concurrent: 0,
    };
    job.spec.task.restart.condition = RestartCondition::OnFailure;
    job.run = Some(weft_proto::object::JobRun {
        iteration: 2,
        started: Timestamp::default(),
        skipped: None,
    });
    let at = |slot, number, iteration, state| {
        let mut task = task(&job, slot, number, state);
        task.iteration = iteration;
        task
    };
    let mut tasks = vec![
        at(1, 1, 1, TaskState::Complete),
        at(2, 2, 1, TaskState::Complete),
        at(1, 3, 2, TaskState::Complete),
        at(2, 4, 2, TaskState::Running),
    ];
    let half = look(&job, &tasks);
    assert!(!half.is_complete());
    assert_eq!(half.line(), "1 of 2 tasks completed");
    tasks[3].status.state = TaskState::Complete;
    assert!(look(&job, &tasks).is_complete());
}
