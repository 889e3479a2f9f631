//! What people see, letter by letter.

use crate::command::test_objects;
use crate::command::test_objects::UPDATED;
use crate::render::cluster;
use crate::render::network;
use crate::render::node;
use crate::render::node::Managers;
use crate::render::service;
use crate::render::service::Counts;
use crate::render::task;
use std::time::Duration;
use weft_proto::NodeId;
use weft_proto::addr::Vni;
use weft_proto::object::Meta;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::NetworkSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::wire;

fn node_id(number: u32) -> NodeId {
    NodeId::from_entropy(u128::MAX / 7 * u128::from(number))
}

fn node(number: u32, manager: bool, state: wire::NodeState) -> Node {
    let role = if manager {
        wire::NodeRole::Manager
    } else {
        wire::NodeRole::Worker
    };
    Node::try_from(wire::Node {
        meta: None,
        id: node_id(number).to_string(),
        spec: Some(wire::NodeSpec {
            role: role.into(),
            availability: wire::Availability::Active.into(),
            labels: Vec::new(),
        }),
        description: Some(wire::NodeDescription {
            hostname: format!("n{number}"),
            ..wire::NodeDescription::default()
        }),
        status: Some(wire::NodeStatus {
            state: state.into(),
            message: String::new(),
            since_ms: 0,
        }),
        number,
        data_addr: format!("192.0.2.{number}"),
        manager: manager.then(|| wire::ManagerStatus {
            raft_id: number.into(),
            addr: format!("192.0.2.{number}:2377"),
        }),
    })
    .unwrap()
}

fn managers(reachable: &[bool]) -> Managers {
    let member = |(index, reachable): (usize, &bool)| {
        let number = u32::try_from(index).unwrap() + 1;
        wire::ManagerMember {
            node_id: node_id(number).to_string(),
            raft_id: number.into(),
            addr: String::new(),
            voter: true,
            leader: number == 1,
            reachable: *reachable,
            agents: 0,
        }
    };
    Managers {
        leader: node_id(1).to_string(),
        members: reachable.iter().enumerate().map(member).collect(),
    }
}

const NODES: &str = r"ID               HOSTNAME   STATUS   AVAILABILITY   MANAGER       ADDRESS
25xzpakkg8t3     n1         Ready    Active         Leader        192.0.2.1:2377
4bvzel54whm7 *   n2         Ready    Active         Reachable     192.0.2.2:2377
6htz3vppcqfa     n3         Down     Active         Unreachable   192.0.2.3:2377
8nryt6a9sz8e     n4         Down     Active         -             192.0.2.4

3 of 3 managers answer: 1 more may fail";

const PENDING: &str = r"ID             HOSTNAME   STATUS    AVAILABILITY   MANAGER   ADDRESS
25xzpakkg8t3   n1         Ready     Active         -         192.0.2.1
4bvzel54whm7   n7         Pending   Active         -         192.0.2.7";

#[test]
fn a_machine_that_waits_to_be_let_in_is_listed_with_what_to_do() {
    let waiting = wire::WaitingNode {
        node: Some(wire::PendingNode {
            id: node_id(2).to_string(),
            description: Some(wire::NodeDescription {
                hostname: "n7".to_owned(),
                ..wire::NodeDescription::default()
            }),
            data_addr: "192.0.2.7".to_owned(),
            ..wire::PendingNode::default()
        }),
        role: wire::NodeRole::Worker.into(),
        ..wire::WaitingNode::default()
    };
    let nodes = [node(1, false, wire::NodeState::Ready)];
    let mut rows = node::rows(&nodes, &Managers::default(), "");
    rows.extend(node::pending(&[waiting]));
    assert_eq!(node::table(&rows, &Managers::default()), PENDING);
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(json[1]["status"], "pending");
    assert_eq!(
        json[1]["message"],
        "waits to be let in: weft node accept 4bvzel54whm7"
    );
}

#[test]
fn nodes_say_who_manages_and_how_many_managers_may_fail() {
    let nodes = [
        node(4, false, wire::NodeState::Down),
        node(2, true, wire::NodeState::Ready),
        node(1, true, wire::NodeState::Ready),
        node(3, true, wire::NodeState::Down),
    ];
    let all = managers(&[true, true, true]);
    let rows = node::rows(&nodes, &managers(&[true, true, false]), node_id(2).as_str());
    assert_eq!(node::table(&rows, &all), NODES);
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(json[0]["status"], "ready");
    assert_eq!(json[0]["manager"], "leader");
    assert_eq!(json[1]["self"], true);
    assert_eq!(json[3]["manager"], serde_json::Value::Null);
    let margin = |reachable: &[bool]| {
        let text = node::table(&rows, &managers(reachable));
        text.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(
        margin(&[true]),
        "1 manager: none may fail; join more until there are 3 to survive the loss of one"
    );
    assert_eq!(
        margin(&[true, true, true]),
        "3 of 3 managers answer: 1 more may fail"
    );
    assert_eq!(
        margin(&[true, true, false]),
        "2 of 3 managers answer: no other one may fail"
    );
    assert_eq!(
        margin(&[true, false, false]),
        "1 of 3 managers answer: 2 are needed to change anything; services go on as they are"
    );
}

const TASKS: &str = r"ID             NAME        NODE   DESIRED STATE   CURRENT STATE           MESSAGE
327o7bphebvn   web.1       n1     Running         Running 5 seconds ago
31o13d950jaz    \_ web.1   n1     Shutdown        Failed 5 seconds ago    cannot start: no such file
32rbba5ts4ga   web.2       -      Running         Pending 5 seconds ago   no node fits: 2 nodes do not satisfy node.role==worker";

fn tasks(service: &Service) -> Vec<Task> {
    let mut failed = test_objects::task(service, 1, 1, TaskState::Failed);
    failed.desired = DesiredState::Shutdown;
    failed.status.error = "cannot start:\nno such file".to_owned();
    failed.node = Some(node_id(1));
    let mut runs = test_objects::task(service, 1, 2, TaskState::Running);
    runs.node = Some(node_id(1));
    let mut waits = test_objects::task(service, 2, 3, TaskState::Pending);
    waits.status.message = "no node fits: 2 nodes do not satisfy node.role==worker".to_owned();
    vec![failed, waits, runs]
}

#[test]
fn tasks_say_where_they_are_what_they_wait_for_and_what_was_before() {
    let names = task::names(&[node(1, true, wire::NodeState::Ready)]);
    let rows = task::rows(&tasks(&test_objects::service(2)), &names);
    let now = UPDATED.after(Duration::from_secs(6));
    assert_eq!(task::table(&rows, now), TASKS);
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(json[0]["name"], "web.1");
    assert_eq!(json[0]["state"], "running");
    assert_eq!(json[0]["node"], "n1");
    assert_eq!(json[1]["desired_state"], "shutdown");
    assert_eq!(json[2]["node"], serde_json::Value::Null);
}

const SERVICES: &str = r"ID             NAME   MODE         REPLICAS   COMMAND                  PORTS
51vbb0nzpwjw   web    replicated   2/3        nginx -g 'daemon off;'   *:8080->80/tcp";
const SERVICE: &str = r"ID:             51vbb0nzpwjw9bjwtj5zvlkd1
Name:           web
Created:        2026-11-20T15:04:05.000Z
Updated:        2026-11-20T15:04:05.000Z
Labels:         tier=front
Mode:           replicated, 2 of 3 run
Command:        nginx -g 'daemon off;'
Environment:    A=1
Runtime:        process
Networks:       net (10.0.0.2)
Endpoint mode:  vip
Ports:          *:8080->80/tcp
Constraints:    node.role==worker
Limits:         none
Reservations:   none
Restart:        always, after 5s, without bound
Update:         1 at a time, old task stops first, watched for 5s, pauses when one fails
Rollback:       1 at a time, old task stops first, watched for 5s, pauses when one fails
Stop:           SIGTERM, killed after 10s";

#[test]
fn services_say_how_many_of_their_tasks_run_and_which_ports_answer() {
    let service = test_objects::service(3);
    let counts = Counts {
        running: 2,
        wanted: 3,
        completed: 0,
    };
    let rows = service::rows(&[(service.clone(), counts)]);
    assert_eq!(service::table(&rows), SERVICES);
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(
        (&json[0]["running"], &json[0]["replicas"]),
        (&2.into(), &3.into())
    );
    assert_eq!(json[0]["ports"][0]["published"], 8080);
    let name = |_: &weft_proto::NetworkId| "net".to_owned();
    assert_eq!(service::inspect(&service, counts, UPDATED, &name), SERVICE);
}

const NETWORKS: &str = r"ID             NAME   DRIVER    SUBNET        VNI    INTERNAL   ENCRYPTED
000000000000   net    overlay   10.0.1.0/24   4097   yes        no";

#[test]
fn networks_show_their_subnets() {
    let network = Network {
        meta: Meta::default(),
        id: test_objects::network(),
        spec: NetworkSpec {
            name: "net".parse().unwrap(),
            labels: weft_proto::spec::Labels::new(),
            subnet: None,
            internal: true,
            attachable: false,
            encrypted: false,
        },
        vni: Vni::try_from(4097).unwrap(),
        subnet: "10.0.1.0/24".parse().unwrap(),
    };
    let rows = network::rows(std::slice::from_ref(&network));
    assert_eq!(network::table(&rows), NETWORKS);
    assert!(network::inspect(&network).contains("Internal:    yes"));
}

#[test]
fn a_node_without_a_cluster_says_how_to_get_into_one() {
    let local = wire::InfoResponse {
        version: "0.1.0".to_owned(),
        state: "none".to_owned(),
        hostname: "n1".to_owned(),
        ..wire::InfoResponse::default()
    };
    let info = cluster::info(local, None);
    assert_eq!(
        cluster::text(&info),
        "Hostname:   n1\n\
         Version:    0.1.0\n\
         This node:  in no cluster: make one with \"weft cluster init\", or join one with \
         \"weft cluster join\""
    );
    assert_eq!(
        serde_json::to_value(&info).unwrap()["node_id"],
        serde_json::Value::Null
    );
}

#[test]
fn tasks_that_wait_say_how_long_and_what_their_nodes_answer_for_them() {
    let mut service = test_objects::service(2);
    service.spec.task.host_ports = vec![weft_proto::spec::HostPort {
        protocol: weft_proto::spec::Protocol::Tcp,
        target: 80,
        published: 8080,
    }];
    let mut failed = test_objects::task(&service, 1, 1, TaskState::Failed);
    failed.status.error = "exit code 1".to_owned();
    failed.status.message = "starts again 5 s after its end".to_owned();
    let mut stays = test_objects::task(&service, 2, 2, TaskState::Running);
    stays.status.message = "waits for its turn in the update".to_owned();
    let wait = |task: &Task, until_ms| wire::TaskWait {
        task_id: task.id.to_string(),
        until_ms,
    };
    let now = UPDATED.after(Duration::from_secs(6));
    let until = now.after(Duration::from_secs(4)).as_millis();
    let waits = [wait(&failed, until), wait(&stays, 0)];
    let mut rows = task::rows(&[failed, stays], &task::NodeNames::new());
    task::wait(&mut rows, &waits);
    let table = task::table(&rows, now);
    for words in [
        "HOST PORTS",
        "8080->80/tcp",
        "exit code 1; starts again 5 s after its end (in 4s)",
        "waits for its turn in the update",
    ] {
        assert!(table.contains(words), "{table}");
    }
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(json[0]["waits_until"], until);
    assert_eq!(json[1]["waits_until"], serde_json::Value::Null);
    assert_eq!(json[0]["host_ports"][0], "8080->80/tcp");
}
