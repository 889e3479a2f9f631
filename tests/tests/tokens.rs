//! Who gets in, and who is put out.

use serde_json::Value;
use std::time::Instant;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::Cluster;

/// A machine that runs a daemon and is in no cluster.
fn machine(cluster: &Cluster, name: &str) -> anyhow::Result<Host> {
    let host = cluster.rig.host(name)?;
    host.start_daemon()?;
    host.wait_ready(weft_tests::CEILING)?;
    Ok(host)
}

fn token(cluster: &Cluster, args: &[&str]) -> anyhow::Result<String> {
    let words = [&["cluster", "join-token", "create", "-q"], args].concat();
    Ok(cluster.founder().weft_ok(&words)?.trim().to_owned())
}

fn join(cluster: &Cluster, host: &Host, token: &str) -> Vec<String> {
    let manager = cluster.founder().addr().to_string();
    contract::join(token, &manager, &host.addr().to_string())
}

fn row(cluster: &Cluster, hostname: &str) -> Option<Value> {
    let nodes = cluster.ask(&["node", "ls", "--format", "json"]).ok()?;
    let rows = contract::rows(&nodes).to_vec();
    rows.into_iter().find(|row| row["hostname"] == hostname)
}

#[test]
fn tokens_admit_as_many_as_they_say_for_as_long_as_they_say() -> anyhow::Result<()> {
    let cluster = Cluster::start("tokens", 2, 0)?;
    let labelled = ["--role", "worker", "--uses", "1", "--label", "zone=a"];
    let once = token(&cluster, &labelled)?;
    let (n3, n4) = (machine(&cluster, "n3")?, machine(&cluster, "n4")?);
    n3.weft_ok(&join(&cluster, &n3, &once))?;
    let refused = n4.weft(&join(&cluster, &n4, &once))?;
    assert!(!refused.success(), "{refused:?}");
    assert!(refused.stderr.contains("used up"), "{}", refused.stderr);
    let nodes = cluster.ask(&["node", "inspect", "n3"])?;
    assert_eq!(nodes[0]["spec"]["labels"]["zone"], "a", "{nodes}");

    let short = token(
        &cluster,
        &["--role", "worker", "--ttl", "1s", "--name", "short"],
    )?;
    cluster.wait("an expired token", || {
        let tokens = cluster
            .ask(&["cluster", "join-token", "ls", "--format", "json"])
            .ok()?;
        let rows = contract::rows(&tokens);
        rows.iter()
            .any(|row| row["name"] == "short" && row["state"] == "expired")
            .then_some(())
    })?;
    let refused = n4.weft(&join(&cluster, &n4, &short))?;
    assert!(refused.stderr.contains("expired"), "{}", refused.stderr);

    // Removed at one manager, of no use at any.
    let removed = token(&cluster, &["--role", "worker", "--name", "gone"])?;
    let other = &cluster.managers[1];
    other.weft_ok(&["cluster", "join-token", "rm", "gone"])?;
    let refused = n4.weft(&join(&cluster, &n4, &removed))?;
    assert!(refused.stderr.contains("not valid"), "{}", refused.stderr);
    cluster.down()
}

#[test]
fn a_machine_waits_until_it_is_let_in_also_while_the_leader_changes() -> anyhow::Result<()> {
    let cluster = Cluster::start("approve", 3, 0)?;
    let text = token(&cluster, &["--role", "worker", "--approve"])?;
    let (n4, n5) = (machine(&cluster, "n4")?, machine(&cluster, "n5")?);
    let (tell4, tell5) = std::thread::scope(|scope| {
        let waits = |host: &Host| {
            let args = join(&cluster, host, &text);
            let host = host.clone();
            scope.spawn(move || host.weft(&args))
        };
        let (four, five) = (waits(&n4), waits(&n5));
        let steps = || -> anyhow::Result<()> {
            for name in ["n4", "n5"] {
                cluster.wait("a pending node", || {
                    (row(&cluster, name)?["status"] == "pending").then_some(())
                })?;
            }
            assert_ne!(cluster.state_of(&n4).as_deref(), Some("worker"));
            let leader = cluster.leader()?;
            leader.kill_daemon()?;
            cluster.wait("another leader", || {
                let others = cluster.managers.iter();
                let mut others = others.filter(|host| host.name() != leader.name());
                others.find_map(|host| {
                    host.weft(&["node", "accept", "n4"])
                        .ok()
                        .filter(|run| run.success())
                })
            })?;
            leader.start_daemon()?;
            leader.wait_ready(weft_tests::CEILING)?;
            cluster.wait("a rejection", || {
                let run = cluster.founder().weft(&["node", "reject", "n5"]).ok()?;
                run.success().then_some(())
            })
        };
        let done = steps();
        if done.is_err() {
            // Their commands would wait for ever.
            drop(n4.kill_daemon());
            drop(n5.kill_daemon());
        }
        let told = (four.join(), five.join());
        done.map(|()| told)
    })?;
    let panicked = |_| anyhow::anyhow!("the thread of a command panicked");
    let (told4, told5) = (tell4.map_err(panicked)??, tell5.map_err(panicked)??);
    assert!(told4.success(), "{told4:?}");
    assert!(told4.stderr.contains("weft node accept"), "{told4:?}");
    assert!(
        !told5.success() && told5.stderr.contains("not let into"),
        "{told5:?}"
    );
    cluster.wait("the accepted node", || {
        (row(&cluster, "n4")?["status"] == "ready").then_some(())
    })?;
    assert!(row(&cluster, "n5").is_none());
    cluster.down()
}

#[test]
fn a_revoked_node_is_cut_off_at_every_manager_and_by_every_peer() -> anyhow::Result<()> {
    let cluster = Cluster::start("revoke", 3, 2)?;
    let (manager, bad, good) = (cluster.founder(), &cluster.workers[0], &cluster.workers[1]);
    manager.weft_ok(&["network", "create", "net"])?;
    manager.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--network",
        "net",
        "--mode",
        "global",
        "--",
        "weft",
        "whoami",
    ])?;
    let tasks = cluster.wait_running("web", 5)?;
    let task_on = |host: &Host| {
        let found = tasks.iter().find(|(_, node)| node == host.name());
        found.map(|(task, _)| task.clone()).unwrap_or_default()
    };
    let (theirs, ours) = (task_on(bad), task_on(good));
    let addr = cluster.in_task_ok(&ours, &["dig", "+short", &theirs])?;
    let url = format!("http://{}:8000/", addr.trim());
    let reaches = || {
        let get = ["curl", "-sS", "-m", "1", url.as_str()];
        cluster
            .in_task(&ours, &get)
            .is_ok_and(|output| output.status.success())
    };
    cluster.wait("a way between the two tasks", || reaches().then_some(()))?;

    let begun = Instant::now();
    manager.weft_ok(&["node", "revoke", bad.name()])?;
    cluster.wait("no way between the two tasks", || {
        (!reaches()).then_some(())
    })?;
    println!(
        "peers sent nothing any more {:?} after the command",
        begun.elapsed()
    );
    cluster.wait("no session of the revoked node", || {
        (cluster.state_of(bad)? == "none").then_some(())
    })?;
    println!("the node knew {:?} after the command", begun.elapsed());
    for host in &cluster.managers {
        let nodes = host.weft_json(&["node", "ls", "--format", "json"])?;
        let rows = contract::rows(&nodes);
        assert!(
            rows.iter().all(|row| row["hostname"] != bad.name()),
            "{nodes}"
        );
    }

    // A manager goes only while the others can decide without it.
    manager.weft_ok(&["node", "revoke", cluster.managers[2].name()])?;
    cluster.wait_for_voters(2)?;
    let itself = manager.weft(&["node", "revoke", manager.name()])?;
    assert!(itself.stderr.contains("itself"), "{}", itself.stderr);
    cluster.down()
}

#[test]
fn of_two_machines_with_one_identity_the_second_is_refused_and_told_of() -> anyhow::Result<()> {
    let cluster = Cluster::start("double", 2, 1)?;
    let (manager, victim) = (cluster.founder(), &cluster.workers[0]);
    // A thief copies the state of the victim's disk to another machine.
    let thief = cluster.rig.host("thief")?;
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(victim.state_dir().join("."))
        .arg(thief.state_dir())
        .status()?;
    assert!(copied.success());
    thief.start_daemon()?;
    cluster.wait("the word of a second machine", || {
        let row = row(&cluster, victim.name())?;
        let message = row["message"].as_str()?.to_owned();
        message
            .contains("another machine has its identity")
            .then_some(())
    })?;
    // A genuine restart is no double: the victim is back, and the thief still is not let in.
    victim.kill_daemon()?;
    victim.start_daemon()?;
    cluster.wait_for_nodes(3)?;
    manager.weft_ok(&["node", "revoke", victim.name()])?;
    cluster.wait("both are out", || {
        let out = [victim, &thief].map(|host| cluster.state_of(host));
        out.iter()
            .all(|state| state.as_deref() == Some("none"))
            .then_some(())
    })?;
    cluster.down()
}
