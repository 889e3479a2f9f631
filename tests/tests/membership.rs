//! Machines come and go.

use weft_rig::contract;
use weft_tests::Cluster;

#[test]
fn managers_and_workers_leave_and_may_come_back() -> anyhow::Result<()> {
    let cluster = Cluster::start("leave", 2, 1)?;
    let (stays, leaves, worker) = (cluster.founder(), &cluster.managers[1], &cluster.workers[0]);
    stays.weft_ok(&["network", "create", "demo"])?;
    stays.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--network",
        "demo",
        "--replicas",
        "3",
        "--",
        "sleep",
        "1000",
    ])?;

    // Of two managers one leaves: the other goes on alone, which needs both to agree first.
    leaves.weft_ok(&["cluster", "leave"])?;
    stays.weft_ok(&["network", "create", "alone"])?;
    cluster.wait_for_voters(1)?;
    worker.weft_ok(&["cluster", "leave"])?;
    cluster.wait("all tasks on the node that stays", || {
        let tasks = cluster.running("web").ok()?;
        (tasks.len() == 3 && tasks.iter().all(|(_, node)| node == stays.name())).then_some(())
    })?;

    // The last one leaves only if that is meant.
    let refused = stays.weft(&["cluster", "leave"])?;
    assert!(
        !refused.success() && refused.stderr.contains("--force"),
        "{}",
        refused.stderr
    );

    for (role, host) in [("manager", leaves), ("worker", worker)] {
        let token = stays.weft_ok(&contract::join_token(role))?;
        let (manager, own) = (stays.addr().to_string(), host.addr().to_string());
        host.weft_ok(&contract::join(token.trim(), &manager, &own))?;
    }
    cluster.wait_for_nodes(3)?;
    cluster.wait_for_voters(2)?;
    stays.weft_ok(&["service", "scale", "web=6"])?;
    let nodes = cluster
        .wait_running("web", 6)?
        .into_iter()
        .map(|(_, node)| node);
    assert_eq!(
        weft_tests::distinct(nodes).len(),
        3,
        "the returned nodes get tasks"
    );
    cluster.down()
}

#[test]
fn a_removed_node_ends_its_tasks_by_itself_and_may_join_again() -> anyhow::Result<()> {
    let cluster = Cluster::start("removed", 1, 1)?;
    let (manager, worker) = (cluster.founder(), &cluster.workers[0]);
    let name = worker.name();
    manager.weft_ok(&["node", "update", manager.name(), "--availability", "drain"])?;
    manager.weft_ok(&["network", "create", "demo"])?;
    manager.weft_ok(&SERVICE)?;
    cluster.wait_running("web", 3)?;
    let addresses = addresses(&cluster)?;
    let refused = manager.weft(&["node", "rm", name])?;
    assert!(
        !refused.success() && refused.stderr.contains("--force"),
        "{}",
        refused.stderr
    );
    // Off while it is removed, it hears of it when it is back.
    worker.kill_daemon()?;
    manager.weft_ok(&["node", "rm", "--force", name])?;
    let nodes = manager.weft_json(&contract::node_ls())?;
    assert_eq!(contract::rows(&nodes).len(), 1, "{nodes}");
    assert!(has_processes(worker)?, "its tasks go on");
    manager.weft_ok(&["node", "update", manager.name(), "--availability", "active"])?;
    cluster.wait_running("web", 3)?;
    for addr in self::addresses(&cluster)? {
        assert!(
            !addresses.contains(&addr),
            "{addr} is used by a task that nobody ended"
        );
    }
    worker.start_daemon()?;
    cluster.wait("the removed node on its own", || {
        (cluster.state_of(worker)? == "none").then_some(())
    })?;
    assert!(!has_processes(worker)?, "its tasks ended");
    let info = worker.weft_ok(&["cluster", "info"])?;
    assert!(
        info.contains("was removed") && info.contains("join again"),
        "{info}"
    );
    let token = manager.weft_ok(&contract::join_token("worker"))?;
    let (addr, own) = (manager.addr().to_string(), worker.addr().to_string());
    worker.weft_ok(&contract::join(token.trim(), &addr, &own))?;
    cluster.wait_for_nodes(2)?;
    cluster.down()
}

const SERVICE: [&str; 11] = [
    "service",
    "create",
    "--name",
    "web",
    "--network",
    "demo",
    "--replicas",
    "3",
    "--",
    "sleep",
    "1000",
];

/// The addresses of the tasks that run.
fn addresses(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let tasks = cluster.running("web")?;
    let address = |(task, _): &(String, String)| {
        cluster
            .in_task_ok(task, &["hostname", "-I"])
            .map(|text| text.trim().to_owned())
    };
    let lines: Result<Vec<String>, _> = tasks.iter().map(address).collect();
    let words = lines?;
    let words = words.iter().flat_map(|line| line.split(' '));
    Ok(words.map(str::to_owned).collect())
}

/// Whether any task has a process on the node, by its records.
fn has_processes(host: &weft_rig::Host) -> anyhow::Result<bool> {
    let dir = host.state_dir().join("tasks");
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(false);
    };
    for entry in entries {
        let record = entry?.path().join(contract::TASK_RECORD);
        let Ok(record) = std::fs::read(record) else {
            continue;
        };
        let pid = contract::task_pid(&serde_json::from_slice(&record)?);
        if pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The raft ids of the managers that vote, by node name.
fn raft_ids(cluster: &Cluster) -> anyhow::Result<std::collections::BTreeMap<String, u64>> {
    let nodes = cluster.ask(&["node", "ls", "--format", "json"])?;
    let names: Vec<String> = contract::rows(&nodes)
        .iter()
        .filter(|node| node["role"] == "manager")
        .map(|node| contract::word(node, &["hostname"]).to_owned())
        .collect();
    let mut args = vec!["node", "inspect"];
    args.extend(names.iter().map(String::as_str));
    let nodes = cluster.ask(&args)?;
    let managers = contract::rows(&nodes).iter().filter_map(|node| {
        let id = node.pointer("/manager/raft_id")?.as_u64()?;
        let name = node.pointer("/description/hostname")?.as_str()?;
        Some((name.to_owned(), id))
    });
    Ok(managers.collect())
}

#[test]
fn nodes_become_managers_and_workers_again_while_their_tasks_go_on() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("roles", 1, 2)?;
    let founder = cluster.founder().clone();
    founder.weft_ok(&["network", "create", "demo"])?;
    founder.weft_ok(&SERVICE)?;
    let tasks = cluster.wait_running("web", 3)?;
    let alive = cluster.processes(&tasks)?;

    let said = founder.weft_ok(&["node", "promote", "n2", "n3"])?;
    assert!(said.contains("n2 is a manager now."), "{said}");
    assert!(
        said.contains("3 of 3 managers answer: 1 more may fail"),
        "{said}"
    );
    cluster.managers.append(&mut cluster.workers);
    cluster.wait_for_voters(3)?;
    let ids = raft_ids(&cluster)?;
    assert_eq!(ids.len(), 3, "{ids:?}");
    // It answers, by its own replica.
    cluster.managers[1].weft_ok(&["service", "ls"])?;

    // The leader itself, asked on itself: it hands over first.
    let leader = cluster.leader()?.clone();
    let changed = leader.weft_json(&["node", "demote", "--format", "json", leader.name()])?;
    assert_eq!(changed[0]["done"], true, "{changed}");
    assert_eq!(changed[0]["before"]["may_fail"], 1, "{changed}");
    cluster.wait("a worker", || {
        (cluster.state_of(&leader)? == "worker").then_some(())
    })?;
    cluster.wait("no log on it", || {
        (!leader.state_dir().join("raft").exists()).then_some(())
    })?;
    cluster.wait_for_voters(2)?;
    let refused = leader.weft(&["node", "ls"])?;
    assert!(refused.stderr.contains("is a worker"), "{}", refused.stderr);

    // Of two neither is to be spared while the other is silent.
    let other = cluster.leader()?.clone();
    let silent = cluster
        .managers
        .iter()
        .find(|m| m.name() != other.name() && m.name() != leader.name());
    let silent = silent.expect("three managers").clone();
    other.weft_ok(&["node", "promote", leader.name()])?;
    cluster.wait_for_voters(3)?;
    let again = raft_ids(&cluster)?;
    assert!(
        again[leader.name()] > *ids.values().max().unwrap(),
        "{ids:?} {again:?}"
    );
    // Up to here: the tasks of a silent node run elsewhere soon.
    assert_eq!(cluster.processes(&tasks)?, alive, "no task was touched");
    silent.kill_daemon()?;
    cluster.wait("the loss of one to be seen", || {
        let nodes = other.weft_ok(&["node", "ls"]).ok()?;
        nodes
            .contains("2 of 3 managers answer: no other one may fail")
            .then_some(())
    })?;
    let refused = other.weft(&["node", "demote", leader.name()])?;
    assert!(
        refused.stderr.contains("of 3 managers 2 answer; without"),
        "{}",
        refused.stderr
    );
    // The silent one can be spared, and finds out when it is back.
    other.weft_ok(&["node", "demote", silent.name()])?;
    silent.start_daemon()?;
    silent.wait_ready(weft_tests::CEILING)?;
    cluster.wait("a worker", || {
        (cluster.state_of(&silent)? == "worker").then_some(())
    })?;
    cluster.wait_for_nodes(3)?;
    cluster.down()
}

#[test]
fn a_daemon_killed_at_any_moment_of_a_change_of_role_finishes_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("rolekill", 2, 1)?;
    let founder = cluster.founder().clone();
    let node = cluster.workers.remove(0);
    cluster.managers.push(node.clone());
    let mut spent = std::collections::BTreeSet::new();
    for (round, delay) in [0_u64, 60, 150, 300, 600, 1200].into_iter().enumerate() {
        for (verb, state, voters) in [("promote", "manager", 3), ("demote", "worker", 2)] {
            founder.weft_ok(&["node", verb, "--detach", node.name()])?;
            // The moment is the input here: each round another one.
            std::thread::sleep(std::time::Duration::from_millis(delay));
            node.kill_daemon()?;
            node.start_daemon()?;
            cluster.wait(&format!("{verb}, killed after {delay} ms"), || {
                (cluster.state_of(&node)? == state).then_some(())
            })?;
            cluster.wait_for_voters(voters)?;
            if voters == 3 {
                let id = raft_ids(&cluster)?[node.name()];
                assert!(
                    spent.insert(id),
                    "raft id {id} was used before round {round}"
                );
            } else {
                cluster.wait("a worker's own record of it", || {
                    let nodes = founder.weft_json(&["node", "inspect", node.name()]).ok()?;
                    nodes[0]["manager"].is_null().then_some(())
                })?;
            }
        }
    }
    founder.weft_ok(&["network", "create", "still-decides"])?;
    cluster.down()
}

#[test]
fn a_dead_manager_is_replaced_and_is_no_manager_when_it_comes_back() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("replace", 3, 0)?;
    let dead = cluster.managers[2].clone();
    let founder = cluster.founder().clone();
    founder.weft_ok(&["network", "create", "demo"])?;
    let before = raft_ids(&cluster)?;
    dead.kill_all()?;
    dead.cut()?;
    cluster.wait("it is down", || {
        let removed = founder.weft(&["node", "rm", "--force", dead.name()]).ok()?;
        removed.success().then_some(())
    })?;
    cluster.wait_for_voters(2)?;
    let new = cluster.join("n4", "manager", &founder)?;
    cluster.wait_for_voters(3)?;
    let after = raft_ids(&cluster)?;
    assert!(
        after[new.name()] > before[dead.name()],
        "{before:?} {after:?}"
    );
    // With the dead one back, none of the three may be missed by it.
    dead.heal()?;
    dead.start_daemon()?;
    dead.wait_ready(weft_tests::CEILING)?;
    cluster.wait("it is told that it was removed", || {
        (cluster.state_of(&dead)? == "none").then_some(())
    })?;
    cluster.wait_for_voters(3)?;
    founder.weft_ok(&["network", "create", "still-decides"])?;
    cluster.down()
}

#[test]
fn a_manager_may_change_its_address() -> anyhow::Result<()> {
    let cluster = Cluster::start("address", 3, 0)?;
    let (founder, moved) = (cluster.founder(), &cluster.managers[1]);
    founder.weft_ok(&["network", "create", "demo"])?;
    founder.weft_ok(&SERVICE)?;
    // Its own are given up if it takes long; the move itself must cost nobody else anything.
    let mut tasks = cluster.wait_running("web", 3)?;
    tasks.retain(|(_, node)| node != moved.name());
    let alive = cluster.processes(&tasks)?;
    let old = moved.addr().to_string();
    let new = {
        let [a, b, c, _] = moved.addr().octets();
        std::net::Ipv4Addr::from([a, b, c, 150]).to_string()
    };
    moved.stop_daemon()?;
    let change = |verb: &str, addr: &str| -> anyhow::Result<()> {
        let done = moved.sh(&["ip", "addr", verb, &format!("{addr}/24"), "dev", "eth0"])?;
        assert!(done.success(), "{}", done.stderr);
        Ok(())
    };
    change("del", &old)?;
    change("add", &new)?;
    moved.start_daemon()?;
    moved.wait_ready(weft_tests::CEILING)?;
    let info = moved.weft_ok(&["cluster", "info"])?;
    assert!(info.contains("weft cluster update-addr"), "{info}");
    let refused = moved.weft(&["cluster", "update-addr", "--advertise-addr", &old])?;
    assert!(refused.stderr.contains("is not an address of this node"));
    moved.weft_ok(&["cluster", "update-addr", "--advertise-addr", &new])?;
    cluster.wait("the others dial it anew", || {
        let nodes = founder.weft_json(&contract::node_ls()).ok()?;
        let node = contract::rows(&nodes)
            .iter()
            .find(|node| node["hostname"] == moved.name())?;
        let there = node["address"] == format!("{new}:2377") && node["status"] == "ready";
        (there && node["manager"] != "unreachable").then_some(())
    })?;
    // It counts: with it and without another one the cluster decides.
    cluster.managers[2].kill_daemon()?;
    cluster.wait("a change", || {
        founder
            .weft(&["network", "create", "decided"])
            .ok()?
            .success()
            .then_some(())
    })?;
    cluster.managers[2].start_daemon()?;
    let info = moved.weft_ok(&["cluster", "info"])?;
    assert!(!info.contains("update-addr"), "{info}");
    assert_eq!(
        cluster.processes(&tasks)?,
        alive,
        "no task of others was touched"
    );
    cluster.down()
}
