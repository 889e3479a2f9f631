//! What becomes of reports.

use super::support::Fake;
use crate::dispatcher::Pace;
use crate::dispatcher::Presence;
use crate::dispatcher::report::Report;
use crate::dispatcher::report::plan;
use crate::dispatcher::report::read;
use crate::dispatcher::reporter::Reporter;
use crate::dispatcher::reporter::in_turn;
use crate::fixture::*;
use crate::propose::ProposeError;
use std::sync::Arc;
use weft_proto::command::Change;
use weft_proto::object::Object;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_proto::wire;

fn status(state: TaskState) -> TaskStatus {
    TaskStatus {
        state,
        at: Timestamp::default(),
        message: "seen".to_owned(),
        error: String::new(),
        exit_code: None,
    }
}

fn wire_report(status: TaskStatus) -> wire::TaskReport {
    wire::TaskReport {
        task_id: task_id(7).to_string(),
        status: Some((&status).into()),
    }
}

/// Node 1 with tasks 1 to `tasks`, all assigned.
fn world(tasks: u128) -> (Fake, Arc<Presence>, Arc<Reporter>) {
    let (node, service) = (node(1), service(1, 1));
    let mut objects: Vec<Object> = (1..=tasks)
        .map(|n| {
            task(n, &service)
                .on(&node)
                .state(TaskState::Assigned)
                .into()
        })
        .collect();
    objects.push(node.into());
    let fake = Fake::new(objects);
    let presence = Arc::new(Presence::default());
    let reporter = Reporter::new(
        Arc::clone(&fake.store),
        Arc::new(fake.clone()),
        Arc::clone(&presence),
        Pace::default(),
    );
    (fake, presence, Arc::new(reporter))
}

async fn until_running(fake: &Fake, n: u128) {
    let mut views = fake.store.subscribe();
    views
        .wait_for(|view| {
            let task = view.task(task_id(n)).unwrap();
            task.status.state == TaskState::Running
        })
        .await
        .unwrap();
}

#[test]
fn a_node_speaks_for_its_own_tasks_only() {
    let (fake, _, _) = world(1);
    let forged = (node_id(2), task_id(1));
    let report = |state| Report {
        session: 1,
        status: status(state),
    };
    for state in [TaskState::Running, TaskState::Failed, TaskState::Complete] {
        let decided = plan(&fake.store.view(), &[(forged, report(state))].into());
        assert!(decided.changes.is_empty(), "{state}");
        assert_eq!(decided.foreign, [forged]);
    }
    let own = (node_id(1), task_id(1));
    let decided = plan(
        &fake.store.view(),
        &[(own, report(TaskState::Running))].into(),
    );
    assert_eq!(decided.changes.len(), 1);
}

#[test]
fn texts_are_cut_at_a_character_and_times_ahead_are_now() {
    let long = TaskStatus {
        at: Timestamp::from_millis(5_000),
        message: "ä".repeat(5_000),
        error: format!("x{}", "ä".repeat(5_000)),
        ..status(TaskState::Failed)
    };
    let (_, read) = read(wire_report(long), Timestamp::from_millis(2_000)).unwrap();
    assert_eq!(read.message.len(), 1024);
    assert_eq!(read.error.len(), 1023);
    assert_eq!(read.at, Timestamp::from_millis(2_000));
}

#[test]
fn what_is_no_report_is_not_read() {
    let mut other = wire_report(status(TaskState::Running));
    other.task_id = "web.1".to_owned();
    assert_eq!(read(other, Timestamp::default()), None);
    let mut other = wire_report(status(TaskState::Running));
    other.status = None;
    assert_eq!(read(other, Timestamp::default()), None);
}

#[test]
fn nodes_take_turns() {
    let keys = [(1, 11), (1, 12), (1, 13), (2, 21), (3, 31), (3, 32)];
    let keys = keys.map(|(node, task)| (node_id(node), task_id(task)));
    let turns: Vec<_> = in_turn(keys.iter()).into_iter().map(|key| key.1).collect();
    assert_eq!(turns, [11, 21, 31, 12, 32, 13].map(task_id));
}

#[tokio::test]
async fn reports_of_many_tasks_are_one_transaction() {
    let (fake, presence, reporter) = world(20);
    let seat = presence.enter(node_id(1), 0);
    for n in 1..=20 {
        let running = status(TaskState::Running);
        reporter.report(node_id(1), seat.session, task_id(n), running);
    }
    tokio::select! {
        () = reporter.run() => {}
        () = until_running(&fake, 20) => {}
    }
    assert_eq!(fake.proposals(), 1);
}

#[tokio::test]
async fn a_task_that_changed_meanwhile_holds_up_no_other() {
    let (fake, presence, reporter) = world(2);
    let seat = presence.enter(node_id(1), 0);
    fake.rival(|state| {
        let mut task = Task::clone(state.task(task_id(1)).unwrap());
        task.desired = DesiredState::Shutdown;
        vec![Change::update(task)]
    });
    for n in 1..=2 {
        let running = status(TaskState::Running);
        reporter.report(node_id(1), seat.session, task_id(n), running);
    }
    let both = async {
        until_running(&fake, 1).await;
        until_running(&fake, 2).await;
    };
    tokio::select! { () = reporter.run() => {}, () = both => {} }
    let view = fake.store.view();
    let task = view.task(task_id(1)).unwrap();
    assert_eq!(
        task.desired,
        DesiredState::Shutdown,
        "the rival's change stays"
    );
}

#[tokio::test]
async fn reports_wait_until_there_is_a_leader() {
    let (fake, presence, reporter) = world(1);
    let seat = presence.enter(node_id(1), 0);
    for _ in 0..5 {
        fake.fail(ProposeError::NoLeader("test".to_owned()));
    }
    reporter.report(
        node_id(1),
        seat.session,
        task_id(1),
        status(TaskState::Running),
    );
    tokio::select! {
        () = reporter.run() => {}
        () = until_running(&fake, 1) => {}
    }
    assert_eq!(fake.proposals(), 6);
}

#[tokio::test]
async fn without_a_leader_reports_of_an_ended_session_are_forgotten() {
    let (fake, presence, reporter) = world(2);
    let seat = presence.enter(node_id(1), 0);
    fake.fail(ProposeError::NoLeader("test".to_owned()));
    reporter.report(
        node_id(1),
        seat.session,
        task_id(1),
        status(TaskState::Running),
    );
    drop(seat);
    let second = async {
        while fake.proposals() < 1 {
            tokio::time::sleep(Pace::default().gather).await;
        }
        let seat = presence.enter(node_id(1), 0);
        reporter.report(
            node_id(1),
            seat.session,
            task_id(2),
            status(TaskState::Running),
        );
        until_running(&fake, 2).await;
    };
    tokio::select! { () = reporter.run() => {}, () = second => {} }
    let view = fake.store.view();
    assert_eq!(
        view.task(task_id(1)).unwrap().status.state,
        TaskState::Assigned
    );
}
