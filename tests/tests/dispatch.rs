//! What managers owe nodes, and nodes their tasks: sessions that are spread, ports of single nodes,
//! health checks, output that is followed.

use serde_json::Value;
use std::process::Stdio;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::Cluster;
use weft_tests::Whoami;
use weft_tests::get_from;

/// How many agents of other nodes hold a session with each manager, by its address.
fn agents(cluster: &Cluster) -> Option<Vec<u64>> {
    let info = cluster.ask(&["cluster", "info", "--format", "json"]).ok()?;
    let members = info.pointer("/cluster/members")?.as_array()?.clone();
    cluster
        .managers
        .iter()
        .map(|manager| {
            let addr = format!("{}:", manager.addr());
            let is_it = |member: &&Value| {
                member["address"]
                    .as_str()
                    .is_some_and(|a| a.starts_with(&addr))
            };
            members.iter().find(is_it)?["agents"].as_u64()
        })
        .collect()
}

/// When each node got the state it has.
fn states(cluster: &Cluster) -> anyhow::Result<Vec<(Value, Value, Value)>> {
    let mut words = vec!["node", "inspect", "--format", "json"];
    words.extend(cluster.nodes().map(Host::name));
    let nodes = cluster.ask(&words)?;
    let state = |node: &Value| {
        let status = &node["status"];
        (
            node["id"].clone(),
            status["state"].clone(),
            status["since"].clone(),
        )
    };
    Ok(contract::rows(&nodes).iter().map(state).collect())
}

#[test]
fn agents_spread_over_managers_again_when_one_returns_and_no_node_is_called_down()
-> anyhow::Result<()> {
    let mut cluster = Cluster::start("spread", 1, 3)?;
    let founder = cluster.founder().clone();
    for name in ["m2", "m3"] {
        cluster.join(name, "manager", &founder)?;
    }
    cluster.wait_for_voters(3)?;
    let all = |held: &Vec<u64>| held.iter().sum::<u64>() == 3;
    cluster.wait("a session of every worker", || agents(&cluster).filter(all))?;
    let before = states(&cluster)?;

    let leaves = &cluster.managers[2];
    leaves.stop_daemon()?;
    cluster.wait("all sessions with the managers that stay", || {
        agents(&cluster).filter(|held| all(held) && held[2] == 0)
    })?;
    leaves.start_daemon()?;
    leaves.wait_ready(weft_tests::CEILING)?;
    cluster.wait_for_voters(3)?;
    let spread = cluster.wait("one session with each manager", || {
        agents(&cluster).filter(|held| *held == [1, 1, 1])
    })?;
    assert_eq!(spread, [1, 1, 1]);

    let workers: Vec<String> = cluster
        .workers
        .iter()
        .map(|h| h.name().to_owned())
        .collect();
    let after = states(&cluster)?;
    let stayed = |states: &[(Value, Value, Value)]| -> Vec<(Value, Value, Value)> {
        // The node whose daemon was stopped may have been down meanwhile.
        let kept = states.iter().enumerate().filter(|(at, _)| *at != 2);
        kept.map(|(_, state)| state.clone()).collect()
    };
    assert_eq!(
        stayed(&after),
        stayed(&before),
        "of {workers:?} and managers"
    );
    cluster.down()
}

#[test]
fn a_port_of_mode_host_is_answered_by_the_tasks_own_node_only() -> anyhow::Result<()> {
    let cluster = Cluster::start("hostport", 1, 2)?;
    let manager = cluster.founder();
    let publish = "mode=host,published=8080,target=8000";
    manager.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--replicas",
        "2",
        "--publish",
        publish,
        "--",
        "weft",
        "whoami",
    ])?;
    let running = cluster.wait_running("web", 2)?;
    let nodes: Vec<&str> = running.iter().map(|(_, node)| node.as_str()).collect();
    assert_ne!(nodes[0], nodes[1], "one port, one node each");
    let client = cluster.client.addr().to_string();
    for node in cluster.nodes() {
        if nodes.contains(&node.name()) {
            let page = cluster.wait("an answer", || cluster.get(node, 8080).ok())?;
            assert_eq!(
                Whoami::parse(&page)?.client,
                client,
                "the client's own address"
            );
            for url in [
                format!("http://{}:8080/", node.addr()),
                "http://127.0.0.1:8080/".to_owned(),
            ] {
                assert!(get_from(node, &url).is_ok(), "{url} on {}", node.name());
            }
        } else {
            assert!(
                cluster.get(node, 8080).is_err(),
                "{} has no task",
                node.name()
            );
        }
    }
    let table = manager.weft_ok(&["service", "ps", "web"])?;
    assert!(table.contains("8080->8000/tcp"), "{table}");

    // Three tasks need three nodes; a fourth waits and says why.
    manager.weft_ok(&["service", "scale", "-d", "web=4"])?;
    cluster.wait_running("web", 3)?;
    cluster.wait("a reason to wait", || {
        let tasks = cluster
            .ask(&["service", "ps", "web", "--format", "json"])
            .ok()?;
        let says = |task: &Value| {
            task["message"]
                .as_str()
                .is_some_and(|m| m.contains("8080/tcp in use by a task"))
        };
        contract::rows(&tasks).iter().any(says).then_some(())
    })?;
    // The mesh may not have the port meanwhile, on any node.
    let refused = manager.weft(&[
        "service",
        "create",
        "--name",
        "other",
        "--publish",
        "8080:80",
        "--",
        "sleep",
        "1000",
    ])?;
    assert!(
        !refused.success() && refused.stderr.contains("web"),
        "{}",
        refused.stderr
    );
    cluster.down()
}

#[test]
fn a_port_that_a_program_of_the_host_has_is_named_in_the_tasks_status() -> anyhow::Result<()> {
    let cluster = Cluster::start("hosttaken", 1, 0)?;
    let manager = cluster.founder();
    let mut command = std::process::Command::new("python3");
    command.args(["-m", "http.server", "8081"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = manager.spawn(&mut command)??;
    cluster.wait("the host's own server", || {
        get_from(manager, "http://127.0.0.1:8081/").ok()
    })?;
    manager.weft_ok(&[
        "service",
        "create",
        "-d",
        "--name",
        "web",
        "--publish",
        "mode=host,published=8081,target=8000",
        "--",
        "weft",
        "whoami",
    ])?;
    cluster.wait("the conflict in the task's status", || {
        let tasks = cluster
            .ask(&["service", "ps", "web", "--format", "json"])
            .ok()?;
        let says = |task: &Value| {
            task["error"]
                .as_str()
                .is_some_and(|e| e.contains("port 8081/tcp of this node is in use"))
        };
        contract::rows(&tasks).iter().any(says).then_some(())
    })?;
    assert!(
        get_from(manager, "http://127.0.0.1:8081/").is_ok(),
        "it is left alone"
    );
    server.kill()?;
    server.wait()?;
    cluster.wait_running("web", 1)?;
    cluster.down()
}

#[test]
fn an_update_whose_tasks_are_never_healthy_rolls_back() -> anyhow::Result<()> {
    let cluster = Cluster::start("healthy", 1, 1)?;
    let manager = cluster.founder();
    manager.weft_ok(&["network", "create", "demo"])?;
    manager.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--replicas",
        "2",
        "--network",
        "demo",
        "--update-failure-action",
        "rollback",
        "--health-cmd",
        "test -e /tmp/well || touch /tmp/well",
        "--health-interval",
        "1s",
        "--health-retries",
        "2",
        "--",
        "weft",
        "whoami",
    ])?;
    let before = cluster.wait_running("web", 2)?;
    let processes = cluster.processes(&before)?;

    manager.weft_ok(&[
        "service",
        "update",
        "-d",
        "web",
        "--health-cmd",
        "echo sick; exit 3",
    ])?;
    let status = cluster.wait("a rollback", || {
        let found = cluster
            .ask(&["service", "inspect", "web", "--format", "json"])
            .ok()?;
        let update = contract::rows(&found).first()?["update"].clone();
        (update["state"] == "rollback-completed").then_some(update)
    })?;
    let why = status["message"].as_str().unwrap_or_default();
    assert!(
        why.contains("unhealthy") && why.contains("sick"),
        "{status}"
    );
    let after = cluster.wait_running("web", 2)?;
    // One was replaced for the try; the other one served all the time.
    let now = cluster.processes(&after)?;
    let kept = processes.iter().filter(|process| now.contains(process));
    assert!(kept.count() >= 1, "{processes:?} and then {now:?}");
    cluster.down()
}

#[test]
fn a_task_gets_no_connection_before_it_is_healthy() -> anyhow::Result<()> {
    let cluster = Cluster::start("starting", 1, 0)?;
    let manager = cluster.founder();
    // Well from its tenth check on.
    let check = "echo . >> /tmp/tries; test $(wc -l < /tmp/tries) -ge 10";
    manager.weft_ok(&[
        "service",
        "create",
        "-d",
        "--name",
        "web",
        "--publish",
        "8000:8000",
        "--health-cmd",
        check,
        "--health-interval",
        "1s",
        "--health-start-period",
        "1h",
        "--",
        "weft",
        "whoami",
    ])?;
    let starting = cluster.wait("a task that starts", || {
        let tasks = cluster
            .ask(&["service", "ps", "web", "--format", "json"])
            .ok()?;
        let task = contract::rows(&tasks).first()?.clone();
        (task["state"] == "starting").then_some(task)
    })?;
    let id = starting["id"].as_str().unwrap_or_default().to_owned();
    let early = cluster.get(manager, 8000);
    let still = cluster.ask(&["service", "ps", "web", "--format", "json"])?;
    if contract::rows(&still)[0]["state"] == "starting" {
        assert!(early.is_err(), "it is refused: {early:?}");
    }
    cluster.wait_running("web", 1)?;
    cluster.wait_answers(cluster.nodes(), 8000)?;
    let tasks = cluster.ask(&["service", "ps", "web", "--format", "json"])?;
    assert_eq!(
        contract::rows(&tasks)[0]["id"],
        id.as_str(),
        "the same task"
    );
    cluster.down()
}

#[test]
fn followed_output_has_the_lines_of_tasks_that_start_later() -> anyhow::Result<()> {
    let cluster = Cluster::start("followed", 1, 1)?;
    let manager = cluster.founder();
    let script = "while true; do echo line of $WEFT_TASK_NAME; sleep 0.2; done";
    manager.weft_ok(&[
        "service", "create", "--name", "talk", "--", "sh", "-c", script,
    ])?;
    cluster.wait_running("talk", 1)?;
    let file = tempfile::NamedTempFile::new()?;
    let mut command = std::process::Command::new(weft_tests::weft_binary()?);
    command.args(contract::socket_option(&manager.socket()));
    command.args(["service", "logs", "-f", "talk"]);
    command
        .stdin(Stdio::null())
        .stdout(file.reopen()?)
        .stderr(Stdio::null());
    let mut follower = manager.spawn(&mut command)??;
    let read = || std::fs::read_to_string(file.path()).unwrap_or_default();
    cluster.wait("lines of the first task", || {
        read().contains("line of talk.1").then_some(())
    })?;
    manager.weft_ok(&["service", "scale", "-d", "talk=3"])?;
    cluster.wait("lines of the later ones", || {
        let text = read();
        (text.contains("line of talk.2") && text.contains("line of talk.3")).then_some(())
    })?;
    follower.kill()?;
    follower.wait()?;
    cluster.down()
}

/// Processes that take all the time they get, until dropped.
struct Busy(Vec<std::process::Child>);

impl Busy {
    fn start(count: usize) -> anyhow::Result<Busy> {
        let mut busy = Busy(Vec::new());
        for _ in 0..count {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "while :; do :; done"]);
            busy.0.push(command.stdin(Stdio::null()).spawn()?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that is gone already is all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
#[ignore = "takes all of the machine for minutes: run it alone, WEFT_SOAK_SECONDS says for how long"]
fn no_node_is_called_down_on_a_saturated_machine() -> anyhow::Result<()> {
    let seconds = std::env::var_os("WEFT_SOAK_SECONDS");
    let seconds = seconds.and_then(|text| text.to_str()?.parse().ok());
    let cluster = Cluster::start("saturated", 1, 3)?;
    let before = states(&cluster)?;
    let cores = std::thread::available_parallelism()?.get();
    let busy = Busy::start(cores * 3)?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds.unwrap_or(120));
    while std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_secs(5));
        assert_eq!(states(&cluster)?, before, "a node was called down");
    }
    drop(busy);
    assert_eq!(states(&cluster)?, before, "a node was called down");
    cluster.down()
}
