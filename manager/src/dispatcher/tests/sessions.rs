//! Sessions over a real connection.

use super::support::Bed;
use super::support::eventually;
use super::support::hello;
use crate::fixture::*;
use prost::Message;
use std::time::Duration;
use tonic::Code;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::command::Change;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Node;
use weft_proto::object::Object;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as FromAgent;
use weft_proto::wire::manager_message::Kind as ToAgent;

/// Node 1 is a manager; nodes 1 and 2 have task 1 and 2, assigned.
fn world() -> Vec<Object> {
    let mut n1 = node(1);
    n1.manager = Some(ManagerStatus {
        raft_id: 1,
        addr: "192.0.2.1:2377".parse().unwrap(),
    });
    let (n2, service) = (node(2), service(1, 2));
    let t1 = task(1, &service).on(&n1).state(TaskState::Assigned);
    let t2 = task(2, &service).on(&n2).state(TaskState::Assigned);
    vec![cluster().into(), n1.into(), n2.into(), t1.into(), t2.into()]
}

fn beat(applied_revision: u64) -> FromAgent {
    FromAgent::Heartbeat(wire::Heartbeat { applied_revision })
}

fn report(tasks: &[u128]) -> FromAgent {
    let tasks = tasks
        .iter()
        .map(|n| wire::TaskReport {
            task_id: task_id(*n).to_string(),
            status: Some(wire::TaskStatus {
                state: TaskState::Running.number(),
                message: "started".to_owned(),
                ..wire::TaskStatus::default()
            }),
        })
        .collect();
    FromAgent::Status(wire::StatusReport { tasks })
}

fn state_of(bed: &Bed, n: u128) -> TaskState {
    bed.fake.store.view().task(task_id(n)).unwrap().status.state
}

#[tokio::test]
async fn a_session_brings_a_snapshot_and_then_what_changes() {
    let bed = Bed::new(world()).await;
    let (mut agent, welcome, snapshot) = bed.session(&node(2)).await;
    assert_eq!(welcome.heartbeat_period_ms, 300);
    assert_eq!(welcome.manager_addrs, ["192.0.2.1:2377"]);
    assert_eq!(snapshot.revision, 1);
    let own: Vec<_> = snapshot.upserts.iter().map(Assignment::key).collect();
    assert!(own.contains(&AssignmentKey::Task(task_id(2))), "{own:?}");
    assert!(!own.contains(&AssignmentKey::Task(task_id(1))), "{own:?}");

    let third = task(3, &service(1, 2))
        .on(&node(2))
        .state(TaskState::Assigned);
    bed.fake.write(vec![Change::create(third)]);
    let delta = agent.news().await;
    assert!(!delta.snapshot);
    assert_eq!(delta.revision, 2);
    let keys: Vec<_> = delta.upserts.iter().map(Assignment::key).collect();
    assert_eq!(keys, [AssignmentKey::Task(task_id(3))]);

    let third = Task::clone(bed.fake.store.view().task(task_id(3)).unwrap());
    bed.fake.write(vec![Change::remove(third)]);
    assert_eq!(
        agent.news().await.removals,
        [AssignmentKey::Task(task_id(3))]
    );
}

#[tokio::test]
async fn a_secret_travels_to_the_nodes_of_its_tasks_and_to_no_other() {
    let mut objects = world();
    objects.push(secret(1, 1).into());
    let bed = Bed::new(objects).await;
    let (mut with, ..) = bed.session(&node(2)).await;
    let (mut without, _, snapshot) = bed.session(&node(1)).await;
    let has = |step: &weft_proto::assignment::Assignments| {
        let bytes = wire::Assignments::from(step).encode_to_vec();
        bytes.windows(6).any(|part| part == b"pw1 v1")
    };
    assert!(!has(&snapshot));
    let mut third = task(3, &service(1, 2))
        .on(&node(2))
        .state(TaskState::Assigned);
    third.spec.files = vec![file(&secret(1, 1), 1)];
    bed.fake.write(vec![Change::create(third)]);
    let told = loop {
        if let ToAgent::Assignments(step) = with.hear().await
            && !step.upserts.is_empty()
        {
            break step.try_into().unwrap();
        }
    };
    assert!(has(&told));
    // The next thing that the other one hears of comes after it, and it has heard nothing of it.
    bed.fake.write(vec![Change::create(node(3))]);
    loop {
        let ToAgent::Assignments(step) = without.hear().await else {
            continue;
        };
        let step = step.try_into().unwrap();
        assert!(!has(&step), "{step:?}");
        if !step.upserts.is_empty() {
            break;
        }
    }
}

#[tokio::test]
async fn revisions_without_news_are_told_too() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(2)).await;
    bed.fake.store.advance(9);
    let step = agent.assignments().await;
    assert_eq!(step.revision, 9);
    assert!(step.upserts.is_empty() && step.removals.is_empty());
}

#[tokio::test]
async fn an_agent_hears_of_new_managers() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(2)).await;
    let mut second = Node::clone(bed.fake.store.view().node(node_id(2)).unwrap());
    second.manager = Some(ManagerStatus {
        raft_id: 2,
        addr: "192.0.2.2:2377".parse().unwrap(),
    });
    bed.fake.write(vec![Change::update(second)]);
    // It is itself the new one, and hears that first.
    assert!(matches!(agent.hear().await, ToAgent::Standing(standing) if standing.raft_id == 2));
    let managers: Vec<_> = agent
        .assignments()
        .await
        .managers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(managers, ["192.0.2.1:2377", "192.0.2.2:2377"]);
}

#[tokio::test]
async fn a_reported_status_becomes_state_and_that_of_a_foreign_task_does_not() {
    let bed = Bed::new(world()).await;
    let (agent, ..) = bed.session(&node(2)).await;
    agent.say(report(&[1, 2])).await;
    eventually("task 2 runs", || state_of(&bed, 2) == TaskState::Running).await;
    assert_eq!(state_of(&bed, 1), TaskState::Assigned);
}

#[tokio::test]
async fn what_a_node_says_about_itself_becomes_state() {
    let bed = Bed::new(world()).await;
    let mut new = node(2);
    new.description.version = "9.9.9".to_owned();
    new.data_addr = "198.51.100.2".parse().unwrap();
    bed.fake.rival(|state| {
        let mut node = Node::clone(state.node(node_id(2)).unwrap());
        node.spec.labels.insert("disk".to_owned(), "ssd".to_owned());
        vec![Change::update(node)]
    });
    let _session = bed.session(&new).await;
    eventually("the node is described anew", || {
        let view = bed.fake.store.view();
        let node = view.node(node_id(2)).unwrap();
        node.description == new.description && node.data_addr == new.data_addr
    })
    .await;
    let view = bed.fake.store.view();
    assert_eq!(
        view.node(node_id(2)).unwrap().spec.labels.len(),
        1,
        "the rival's change stays"
    );
}

#[tokio::test]
async fn a_session_that_does_not_last_gives_the_node_no_other_name_or_place() {
    let bed = Bed::new(world()).await;
    let mut other = node(2);
    other.description.hostname = "thief".to_owned();
    other.data_addr = "198.51.100.2".parse().unwrap();
    let (first, ..) = bed.session(&other).await;
    drop(first);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let view = bed.fake.store.view();
    assert_eq!(view.node(node_id(2)).unwrap().data_addr, node(2).data_addr);
    assert_ne!(view.node(node_id(2)).unwrap().description.hostname, "thief");
}

#[tokio::test]
async fn a_second_session_of_a_node_ends_the_first() {
    let bed = Bed::new(world()).await;
    let (mut first, ..) = bed.session(&node(2)).await;
    let (second, ..) = bed.session(&node(2)).await;
    assert_eq!(first.ended().await.code(), Code::Aborted);
    second.say(beat(1)).await;
    eventually("the second one counts", || {
        bed.presence
            .heard()
            .iter()
            .any(|heard| heard.applied_revision == 1)
    })
    .await;
}

#[tokio::test]
async fn silence_ends_a_session_and_frees_its_place() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(2)).await;
    assert!(bed.presence.holds(node_id(2)));
    assert_eq!(agent.ended().await.code(), Code::DeadlineExceeded);
    eventually("its place is free", || !bed.presence.holds(node_id(2))).await;
}

#[tokio::test]
async fn heartbeats_keep_a_session_and_say_what_was_applied() {
    let bed = Bed::new(world()).await;
    let (agent, ..) = bed.session(&node(2)).await;
    for _ in 0..12 {
        agent.say(beat(1_000)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let [heard] = &bed.presence.heard()[..] else {
        panic!("the session ended");
    };
    assert_eq!(heard.node_id, node_id(2).to_string());
    assert_eq!(heard.applied_revision, 1, "no more than it was told");
    assert!(heard.age_ms < 900, "{heard:?}");
}

#[tokio::test]
async fn only_nodes_of_the_cluster_get_a_session() {
    let bed = Bed::new(world()).await;
    let refused = bed.dial(None).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = bed.dial(Some(&node(77))).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(
        refused.message().contains("this node was removed"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_node_that_is_removed_loses_its_session() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(2)).await;
    let gone = Node::clone(bed.fake.store.view().node(node_id(2)).unwrap());
    bed.fake.write(vec![Change::remove(gone)]);
    assert_eq!(agent.ended().await.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_session_begins_with_an_acceptable_hello() {
    let bed = Bed::new(world()).await;
    let mut agent = bed.dial(Some(&node(2))).await.unwrap();
    agent.say(beat(1)).await;
    assert_eq!(agent.ended().await.code(), Code::InvalidArgument);
    for addr in ["", "eth0", "0.0.0.0", "224.0.0.1"] {
        let mut agent = bed.dial(Some(&node(2))).await.unwrap();
        let FromAgent::Hello(mut hello) = hello(&node(2)) else {
            unreachable!()
        };
        hello.data_addr = addr.to_owned();
        agent.say(FromAgent::Hello(hello)).await;
        assert_eq!(agent.ended().await.code(), Code::InvalidArgument, "{addr}");
    }
    assert!(!bed.presence.holds(node_id(2)));
}

#[tokio::test]
async fn when_the_manager_stops_agents_are_told_at_once() {
    let mut bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(2)).await;
    bed.shutdown.cancel();
    assert_eq!(agent.ended().await.code(), Code::Unavailable);
    let run = bed.run.take().unwrap();
    tokio::time::timeout(Duration::from_secs(10), run)
        .await
        .expect("all sessions ended")
        .unwrap();
}

fn certificate(n: u8) -> FromAgent {
    FromAgent::Certificate(wire::NodeCertificate {
        issuer_sha256: vec![n; 32],
        trusted_sha256: vec![vec![n; 32]],
        not_after_ms: 7,
    })
}

#[tokio::test]
async fn what_a_node_holds_is_written_down_and_it_is_told_what_it_should_hold() {
    let bed = Bed::new(world()).await;
    let (mut agent, _, _) = bed.session(&node(2)).await;
    let held = |bed: &Bed| {
        let view = bed.fake.store.view();
        let node = view.node(node_id(2)).unwrap();
        node.certificate
            .as_ref()
            .map(|held| held.issuer.as_bytes()[0])
    };
    for n in [5, 6] {
        agent.say(certificate(n)).await;
        eventually("it is written down", || held(&bed) == Some(n)).await;
    }
    let proposals = bed.fake.proposals();
    let policy = loop {
        if let ToAgent::Certificates(policy) = agent.hear().await {
            break policy;
        }
    };
    assert_eq!(policy.trusted_der, [vec![1]]);
    // Said again, to this manager or another one, it is nothing new.
    agent.say(certificate(6)).await;
    let (mut again, _, _) = bed.session(&node(2)).await;
    again.say(certificate(6)).await;
    loop {
        if let ToAgent::Certificates(policy) = again.hear().await {
            assert_eq!(policy.ttl_ms, 24 * 3_600_000);
            break;
        }
    }
    assert_eq!(bed.fake.proposals(), proposals);
}

/// The hello of an agent that drew this number.
fn hello_of(node: &Node, instance: u64) -> FromAgent {
    let FromAgent::Hello(hello) = hello(node) else {
        panic!("no hello");
    };
    FromAgent::Hello(wire::Hello { instance, ..hello })
}

#[tokio::test]
async fn a_second_machine_with_one_identity_is_refused_while_the_first_one_answers() {
    let bed = Bed::new(world()).await;
    let mut first = bed.dial(Some(&node(2))).await.unwrap();
    first.say(hello_of(&node(2), 7)).await;
    assert!(matches!(first.hear().await, ToAgent::Welcome(_)));
    let mut second = bed.dial(Some(&node(2))).await.unwrap();
    second.say(hello_of(&node(2), 8)).await;
    let beating = async {
        loop {
            first.say(beat(1)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::select! {
        answer = second.next() => answer,
        _ = beating => unreachable!("it beats for ever"),
    };
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    assert!(refused.message().contains("weft node revoke"), "{refused}");
    assert!(first.assignments().await.snapshot, "the first one goes on");
    let told = bed.presence.heard();
    assert!(
        told.iter()
            .any(|heard| heard.doubled && heard.instance == 7)
    );
}

#[tokio::test]
async fn an_agent_that_comes_back_or_starts_again_gets_its_place() {
    let bed = Bed::new(world()).await;
    // The same agent over another connection, whose old one is half open; then one that drew
    // another number, after a restart, while the old session says nothing any more.
    for instance in [7, 7, 8] {
        let mut agent = bed.dial(Some(&node(2))).await.unwrap();
        agent.say(hello_of(&node(2), instance)).await;
        assert!(matches!(agent.hear().await, ToAgent::Welcome(_)));
        assert!(agent.assignments().await.snapshot);
        let seat = bed.presence.heard();
        assert!(seat.iter().any(|heard| heard.instance == instance));
        assert!(seat.iter().all(|heard| !heard.doubled));
        // Its far end stays open.
        std::mem::forget(agent);
    }
}

#[tokio::test]
async fn an_agent_that_the_leader_wants_refused_loses_its_session_and_gets_no_other() {
    let bed = Bed::new(world()).await;
    let mut agent = bed.dial(Some(&node(2))).await.unwrap();
    agent.say(hello_of(&node(2), 8)).await;
    assert!(matches!(agent.hear().await, ToAgent::Welcome(_)));
    assert!(agent.assignments().await.snapshot);
    bed.presence.refuse(&[wire::RefusedAgent {
        node_id: node_id(2).to_string(),
        instance: 8,
    }]);
    let ended = loop {
        match agent.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no reason"),
            Err(ended) => break ended,
        }
    };
    assert_eq!(ended.code(), Code::AlreadyExists, "{ended}");
    let mut again = bed.dial(Some(&node(2))).await.unwrap();
    again.say(hello_of(&node(2), 8)).await;
    assert_eq!(again.next().await.unwrap_err().code(), Code::AlreadyExists);
    // The honest one is not concerned.
    let mut honest = bed.dial(Some(&node(2))).await.unwrap();
    honest.say(hello_of(&node(2), 7)).await;
    assert!(matches!(honest.hear().await, ToAgent::Welcome(_)));
}

#[tokio::test]
async fn agents_are_asked_to_move_but_for_the_managers_own_and_nobody_twice() {
    let bed = Bed::new(world()).await;
    let (mut own, ..) = bed.session(&node(1)).await;
    let (mut other, ..) = bed.session(&node(2)).await;
    let to = ["192.0.2.3:2377".to_owned(), "192.0.2.4:2377".to_owned()];
    let ask = || {
        bed.presence
            .ask_to_move(node(1).id, &to, Duration::from_secs(1))
    };
    ask();
    let order = loop {
        if let ToAgent::Move(order) = other.hear().await {
            break order;
        }
    };
    assert_eq!(order.manager_addrs, [to[0].clone()]);
    assert_eq!(order.within_ms, 1000);
    ask();
    own.say(beat(1)).await;
    other.say(beat(1)).await;
    for agent in [&mut own, &mut other] {
        let next = agent.hear().await;
        assert!(!matches!(next, ToAgent::Move(_)), "{next:?}");
    }
}

#[tokio::test]
async fn a_manager_that_stops_asks_all_to_go_elsewhere_and_waits_for_it() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(2)).await;
    let to = ["192.0.2.3:2377".parse().unwrap()];
    let moves = async {
        while !matches!(agent.hear().await, ToAgent::Move(_)) {}
        drop(agent);
    };
    let gone = bed.presence.hand_over(&to, Duration::from_secs(30));
    tokio::join!(gone, moves);
    assert_eq!(bed.presence.count(), 0);
}
