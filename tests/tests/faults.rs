//! Daemons and machines die; services and state go on.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weft_rig::Host;
use weft_tests::Cluster;
use weft_tests::Whoami;

fn with_whoami(name: &str, replicas: u32) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start(name, 3, 2)?;
    let replicas = replicas.to_string();
    cluster.founder().weft_ok(&["network", "create", "demo"])?;
    cluster.founder().weft_ok(&[
        "service",
        "create",
        "--name",
        "whoami",
        "--replicas",
        &replicas,
        "--network",
        "demo",
        "--publish",
        "8000:8000",
        "--",
        "weft",
        "whoami",
    ])?;
    cluster.wait_answers(cluster.nodes(), 8000)?;
    Ok(cluster)
}

/// The process of every running task, by task name: what must survive.
fn processes(cluster: &Cluster, tasks: &[(String, String)]) -> anyhow::Result<Vec<String>> {
    tasks
        .iter()
        .map(|(task, _)| {
            // Start time of the task's first process, in ticks: another process, another time.
            let stat = cluster.in_task_ok(task, &["cut", "-d", " ", "-f", "22", "/proc/1/stat"])?;
            Ok(format!("{task} {}", stat.trim()))
        })
        .collect()
}

/// Requests that say something about what a fault costs.
const ENOUGH: usize = 40;

#[test]
fn killing_the_leaders_daemon_costs_no_request_and_it_comes_back_with_its_tasks()
-> anyhow::Result<()> {
    let cluster = with_whoami("leader", 5)?;
    let before = cluster.wait_running("whoami", 5)?;
    let alive = processes(&cluster, &before)?;
    let leader = cluster.leader()?;
    let others: Vec<&Host> = cluster
        .nodes()
        .filter(|n| n.name() != leader.name())
        .collect();

    let stop = AtomicBool::new(false);
    let (answered, failed) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let load = scope.spawn(|| {
            let (mut answered, mut failed) = (0, Vec::new());
            // Everything may be over within seconds: enough is asked all the same.
            while !stop.load(Ordering::Relaxed) || answered + failed.len() <= ENOUGH {
                for node in &others {
                    match cluster.get(node, 8000) {
                        Ok(_) => answered += 1,
                        Err(err) => failed.push(format!("{}: {err:#}", node.name())),
                    }
                }
            }
            (answered, failed)
        });
        let outcome = (|| {
            leader.kill_daemon()?;
            // The others elect and accept writes again.
            let writer = others
                .iter()
                .find(|n| cluster.managers.iter().any(|m| m.name() == n.name()));
            let writer = writer.copied().expect("two managers are left");
            cluster.wait("a write after the leader's death", || {
                writer.weft_ok(&["network", "create", "after"]).ok()
            })?;
            leader.start_daemon()?;
            leader.wait_ready(weft_tests::CEILING)?;
            cluster.wait_for_nodes(5)
        })();
        stop.store(true, Ordering::Relaxed);
        let load = load
            .join()
            .map_err(|_| anyhow::anyhow!("the load panicked"))?;
        outcome.map(|()| load)
    })?;
    assert!(
        answered > ENOUGH / 2,
        "only {answered} requests were answered"
    );
    assert_eq!(failed, Vec::<String>::new(), "of {answered} and these");

    let after = cluster.wait_running("whoami", 5)?;
    assert_eq!(
        processes(&cluster, &after)?,
        alive,
        "every task is the very process it was"
    );
    let seen = leader.weft_ok(&["network", "ls"])?;
    assert!(
        seen.contains("after"),
        "it caught up with what it missed: {seen}"
    );
    cluster.down()
}

#[test]
fn tasks_of_a_machine_that_dies_run_elsewhere() -> anyhow::Result<()> {
    let cluster = with_whoami("machine", 5)?;
    let dead = &cluster.workers[0];
    dead.cut()?;
    dead.kill_all()?;
    cluster.rig.wait_for(
        "five tasks on the nodes that live",
        Duration::from_secs(30),
        || {
            let tasks = cluster.running("whoami").ok()?;
            (tasks.len() == 5 && tasks.iter().all(|(_, node)| node != dead.name())).then_some(())
        },
    )?;
    let alive: Vec<&Host> = cluster
        .nodes()
        .filter(|node| node.name() != dead.name())
        .collect();
    cluster.wait("three rounds without a failed request", || {
        let all = (0..3).all(|_| alive.iter().all(|node| cluster.get(node, 8000).is_ok()));
        all.then_some(())
    })?;
    cluster.down()
}

#[test]
fn a_cluster_that_was_stopped_as_a_whole_is_the_same_when_it_starts_again() -> anyhow::Result<()> {
    let cluster = with_whoami("restart", 4)?;
    let tasks = cluster.wait_running("whoami", 4)?;
    let alive = processes(&cluster, &tasks)?;
    let identity = |host: &Host| host.weft_json(&["cluster", "info", "--format", "json"]);
    let cluster_id = identity(cluster.founder())?["cluster_id"].clone();
    for host in cluster.nodes() {
        host.stop_daemon()?;
    }
    // Without any daemon, tasks go on answering.
    for host in cluster.nodes() {
        Whoami::parse(&cluster.get(host, 8000)?)?;
    }
    for host in cluster.nodes() {
        host.start_daemon()?;
    }
    for host in cluster.nodes() {
        host.wait_ready(weft_tests::CEILING)?;
    }
    cluster.wait_for_nodes(5)?;
    let after = cluster.wait_running("whoami", 4)?;
    assert_eq!(processes(&cluster, &after)?, alive);
    assert_eq!(identity(cluster.founder())?["cluster_id"], cluster_id);
    // And it is no picture of itself: it still changes.
    cluster
        .founder()
        .weft_ok(&["service", "scale", "whoami=5"])?;
    assert_eq!(cluster.running("whoami")?.len(), 5);
    cluster.down()
}
