//! What managers tell: every change once, in one order, and nothing old as if it were new.

use anyhow::Context;
use serde_json::Value;
use weft_rig::Host;
use weft_tests::CEILING;
use weft_tests::Cluster;

fn revision(host: &Host) -> anyhow::Result<u64> {
    let info = host.weft_json(&["cluster", "info", "--format", "json"])?;
    let revision = info.pointer("/cluster/revision").and_then(Value::as_u64);
    revision.context("no revision in cluster info")
}

/// The networks that were made between two revisions, as this manager tells it.
fn made(host: &Host, since: u64, until: u64) -> anyhow::Result<Vec<(u64, String)>> {
    let (since, until) = (since.to_string(), until.to_string());
    let told = host.weft_ok(&[
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        "kind=network",
        "--filter",
        "action=create",
        "--format",
        "json",
    ])?;
    told.lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line)?;
            let revision = event["revision"].as_u64().context("no revision")?;
            let name = event["name"].as_str().context("no name")?;
            Ok((revision, name.to_owned()))
        })
        .collect()
}

#[test]
fn every_manager_tells_the_same_history_and_what_it_has_when_nobody_leads() -> anyhow::Result<()> {
    let cluster = Cluster::start("history", 3, 0)?;
    let begin = revision(cluster.founder())?;
    let names = |letter: char| (0..5).map(move |n| format!("{letter}{n}"));
    for name in names('a') {
        cluster.founder().weft_ok(&["network", "create", &name])?;
    }
    let leader = cluster.leader()?;
    let others: Vec<&Host> = cluster
        .managers
        .iter()
        .filter(|manager| manager.name() != leader.name())
        .collect();
    leader.kill_daemon()?;
    // Sent while nobody leads: the program tries again by itself, and each is made once.
    for name in names('b') {
        others[0].weft_ok(&["network", "create", &name])?;
    }
    leader.start_daemon()?;
    leader.wait_ready(CEILING)?;
    cluster.wait_for_nodes(3)?;
    let end = revision(others[0])?;
    let expected: Vec<String> = names('a').chain(names('b')).collect();
    let history = made(others[0], begin, end)?;
    let told: Vec<String> = history.iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(told, expected);
    for manager in &cluster.managers {
        assert_eq!(made(manager, begin, end)?, history, "{}", manager.name());
    }

    let alone = others[1];
    leader.kill_daemon()?;
    others[0].kill_daemon()?;
    let least = end.to_string();
    let stale = alone.weft(&["network", "ls", "-q", "--stale", "--min-revision", &least])?;
    assert!(stale.success(), "{}", stale.stderr);
    assert!(stale.stdout.lines().count() >= 10, "{}", stale.stdout);
    assert!(
        stale.stderr.contains("other managers may know more"),
        "{}",
        stale.stderr
    );
    let ahead = alone.weft(&["network", "ls", "--stale", "--min-revision", "999999999"])?;
    assert!(
        ahead.stderr.contains("has not come to 999999999"),
        "{}",
        ahead.stderr
    );
    let fresh = alone.weft(&["network", "ls"])?;
    assert!(
        !fresh.success(),
        "one of three answered for all: {}",
        fresh.stdout
    );
    cluster.down()
}
