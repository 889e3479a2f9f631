//! Services of every mode, updates that fail, and drains: on real nodes.

use serde_json::Value;
use std::path::PathBuf;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::Cluster;

fn create(manager: &Host, name: &str, flags: &[&str], command: &str) -> anyhow::Result<()> {
    let mut words = vec!["service", "create", "--name", name];
    words.extend(flags);
    words.extend(["--", "sh", "-c", command]);
    manager.weft_ok(&words)?;
    Ok(())
}

/// The row of `service ls`.
fn listed(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let all = cluster.ask(&["service", "ls", "--format", "json"])?;
    let mut rows = all.as_array().into_iter().flatten();
    let row = rows.find(|row| row["name"] == name);
    Ok(row.cloned().unwrap_or_default())
}

fn inspected(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let all = cluster.ask(&["service", "inspect", name])?;
    Ok(all[0].clone())
}

/// A file that goes with the test.
struct Mark(PathBuf);

impl Drop for Mark {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn a_global_service_runs_on_every_node_and_on_those_that_join() -> anyhow::Result<()> {
    let cluster = Cluster::start("global", 1, 1)?;
    let manager = cluster.founder();
    create(manager, "agent", &["--mode", "global"], "exec sleep 1000")?;
    let nodes = |tasks: Vec<(String, String)>| -> Vec<String> {
        let mut nodes: Vec<String> = tasks.into_iter().map(|(_, node)| node).collect();
        nodes.sort();
        nodes
    };
    assert_eq!(nodes(cluster.running("agent")?), ["n1", "n2"]);

    let late = cluster.rig.host("n3")?;
    late.start_daemon()?;
    late.wait_ready(weft_tests::CEILING)?;
    let token = manager.weft_ok(&contract::join_token("worker"))?;
    let (to, own) = (manager.addr().to_string(), late.addr().to_string());
    late.weft_ok(&contract::join(token.trim(), &to, &own))?;
    assert_eq!(nodes(cluster.wait_running("agent", 3)?), ["n1", "n2", "n3"]);
    let row = listed(&cluster, "agent")?;
    assert_eq!((&row["running"], &row["replicas"]), (&3.into(), &3.into()));

    manager.weft_ok(&["node", "update", "--availability", "drain", "n3"])?;
    assert_eq!(nodes(cluster.wait_running("agent", 2)?), ["n1", "n2"]);
    cluster.down()
}

#[test]
fn a_job_completes_after_a_retry_and_a_scheduled_one_waits_for_its_time() -> anyhow::Result<()> {
    let cluster = Cluster::start("jobs", 1, 1)?;
    let manager = cluster.founder();
    // Tasks see the host's files: they fail until there is one.
    let go = Mark(PathBuf::from(format!(
        "/var/tmp/weft-go-{}",
        std::process::id()
    )));
    let command = format!("test -e {} || exit 3", go.0.display());
    let flags = [
        "--mode",
        "replicated-job",
        "--replicas",
        "2",
        "--max-concurrent",
        "1",
        "--restart-delay",
        "200ms",
        "--detach",
    ];
    create(manager, "sum", &flags, &command)?;
    cluster.wait("a task that failed", || {
        let tasks = cluster.ask(&["service", "ps", "sum", "--format", "json"]);
        let tasks = tasks.ok()?;
        let mut rows = tasks.as_array().into_iter().flatten();
        rows.any(|task| task["exit_code"] == 3).then_some(())
    })?;
    std::fs::write(&go.0, "")?;
    cluster.wait("both slots to complete", || {
        let row = listed(&cluster, "sum").ok()?;
        (row["completed"] == 2 && row["replicas"] == 2).then_some(())
    })?;
    // The first run is at once; the next one has its time.
    let flags = ["--mode", "replicated-job", "--schedule", "0 0 1 1 *"];
    create(manager, "tidy", &flags, "exit 0")?;
    let first = inspected(&cluster, "tidy")?;
    assert!(first["next_run"].as_i64() > Some(0), "{first}");
    manager.weft_ok(&["service", "update", "--force", "tidy"])?;
    assert_eq!(inspected(&cluster, "tidy")?["run"]["iteration"], 2);
    let refused = manager.weft(&["service", "update", "--restart-condition", "any", "tidy"])?;
    assert!(
        refused.stderr.contains("ended well is done"),
        "{}",
        refused.stderr
    );
    cluster.down()
}

#[test]
fn an_update_that_fails_goes_back_by_itself_and_says_why() -> anyhow::Result<()> {
    let cluster = Cluster::start("back", 1, 1)?;
    let manager = cluster.founder();
    let flags = [
        "--replicas",
        "3",
        "--update-failure-action",
        "rollback",
        "--update-monitor",
        "1s",
        "--rollback-monitor",
        "500ms",
    ];
    create(manager, "web", &flags, "exec sleep 1000")?;
    let output = manager.weft(&["service", "update", "web", "--", "sh", "-c", "exit 7"])?;
    assert!(!output.status.success());
    assert!(
        output.stderr.contains("it was rolled back"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("exit code 7"), "{}", output.stderr);
    let web = inspected(&cluster, "web")?;
    assert_eq!(web["update"]["state"], "rollback-completed", "{web}");
    assert_eq!(web["spec"]["task"]["command"][2], "exec sleep 1000");
    assert_eq!(cluster.running("web")?.len(), 3);
    let refused = manager.weft(&["service", "rollback", "web"])?;
    assert!(
        refused.stderr.contains("rolled back already"),
        "{}",
        refused.stderr
    );

    // By hand, after a change that works.
    manager.weft_ok(&["service", "update", "--env-add", "COLOUR=blue", "web"])?;
    manager.weft_ok(&["service", "update", "--rollback", "web"])?;
    let web = inspected(&cluster, "web")?;
    assert_eq!(web["spec"]["task"]["env"], serde_json::json!([]));
    cluster.down()
}

#[test]
fn a_drained_node_gives_its_only_replica_away_before_it_stops() -> anyhow::Result<()> {
    let cluster = Cluster::start("drain", 1, 2)?;
    let manager = cluster.founder();
    manager.weft_ok(&["network", "create", "demo"])?;
    let words = [
        "service",
        "create",
        "--name",
        "web",
        "--network",
        "demo",
        "--publish",
        "8000:8000",
        "--",
        "weft",
        "whoami",
    ];
    manager.weft_ok(&words)?;
    cluster.wait_answers(cluster.nodes(), 8000)?;
    let (_, node) = cluster.wait_running("web", 1)?.remove(0);
    manager.weft_ok(&["node", "update", "--availability", "drain", &node])?;
    let mut answers = 0;
    cluster.wait(
        "the task to run elsewhere, with every request answered",
        || {
            // Whoever asks meanwhile is answered.
            cluster
                .get(manager, 8000)
                .unwrap_or_else(|error| panic!("answer {answers}: {error}"));
            answers += 1;
            let tasks = cluster.running("web").ok()?;
            (tasks.len() == 1 && tasks[0].1 != node).then_some(())
        },
    )?;
    for _ in 0..20 {
        cluster.get(manager, 8000)?;
    }
    cluster.down()
}
