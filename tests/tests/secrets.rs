//! Secrets and configs, from the command line to the file in a task.

use anyhow::Context;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use weft_rig::Host;
use weft_tests::CEILING;
use weft_tests::Cluster;

/// Found nowhere but in tasks that use it.
const CANARY: &str = "canary-1f0e9d8c7b6a";

/// Writes a file for `weft secret create` outside of all nodes' directories.
fn content(text: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), text)?;
    Ok(file)
}

fn keep(manager: &Host, words: &[&str], text: &str) -> anyhow::Result<()> {
    let file = content(text)?;
    let path = file.path().to_str().context("a path that is text")?;
    manager.weft_ok(&[words, &[path]].concat())?;
    Ok(())
}

/// The files below a directory that hold the canary.
fn spilt(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            spilt(&path, found);
        } else if kind.is_file() {
            let held = fs::read(&path).unwrap_or_default();
            let canary = CANARY.as_bytes();
            if held.windows(canary.len()).any(|part| part == canary) {
                found.push(path);
            }
        }
    }
}

/// Waits until the only task of a service reads this.
fn reads(cluster: &Cluster, service: &str, path: &str, text: &str) -> anyhow::Result<()> {
    let task = format!("{service}.1");
    cluster.wait(&format!("{text:?} in {path} of {task}"), || {
        let read = cluster.in_task_ok(&task, &["cat", path]).ok()?;
        (read == text).then_some(())
    })
}

#[test]
fn a_secret_is_a_file_in_memory_and_another_version_rolls_over() -> anyhow::Result<()> {
    let cluster = Cluster::start("secrets", 1, 1)?;
    let manager = cluster.founder();
    keep(manager, &["secret", "create", "db.pw"], CANARY)?;
    keep(manager, &["config", "create", "site.conf"], "listen 80")?;
    manager.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--constraint",
        "node.role==worker",
        "--secret",
        "db.pw",
        "--secret",
        "source=db.pw,target=own,uid=65534,gid=7,mode=0400",
        "--config",
        "source=site.conf,target=/etc/weft-e2e/site.conf",
        "--",
        "sleep",
        "1000",
    ])?;
    reads(&cluster, "web", "/run/secrets/db.pw", CANARY)?;
    reads(&cluster, "web", "/etc/weft-e2e/site.conf", "listen 80")?;
    let modes = [
        "stat",
        "-c",
        "%a %u:%g",
        "/run/secrets/db.pw",
        "/run/secrets/own",
    ];
    let modes = cluster.in_task_ok("web.1", &modes)?;
    assert_eq!(modes, "444 0:0\n400 65534:7\n");

    // It is in use, and nobody can take it away.
    let refused = manager.weft(&["secret", "rm", "db.pw"])?;
    assert!(!refused.status.success() && refused.stderr.contains("used by service web"));

    // On no disk, in no answer, in no journal.
    for node in cluster.nodes() {
        let mut found = Vec::new();
        for dir in [node.state_dir(), node.run_dir()] {
            spilt(&dir, &mut found);
        }
        assert_eq!(found, Vec::<PathBuf>::new(), "on {}", node.name());
        assert!(
            !node.log().contains(CANARY),
            "in the journal of {}",
            node.name()
        );
    }
    for words in [
        &["secret", "inspect", "db.pw"][..],
        &["secret", "ls", "--format", "json"],
        &["service", "inspect", "web"],
        &["service", "ps", "web", "--format", "json"],
    ] {
        let said = manager.weft_ok(words)?;
        assert!(!said.contains(CANARY), "{words:?}: {said}");
    }
    let config = manager.weft_json(&["config", "inspect", "site.conf"])?;
    assert_eq!(config[0]["data"], "listen 80");
    assert_eq!(config[0]["used_by"], serde_json::json!(["web"]));

    // Another version: the service rolls over to it, and back.
    keep(manager, &["secret", "update", "db.pw"], "two")?;
    reads(&cluster, "web", "/run/secrets/db.pw", "two")?;
    cluster.wait("the update to complete", || {
        let service = cluster.ask(&["service", "inspect", "web"]).ok()?;
        (service[0]["update"]["state"] == "completed").then_some(())
    })?;
    manager.weft_ok(&["service", "rollback", "web"])?;
    reads(&cluster, "web", "/run/secrets/db.pw", CANARY)?;

    manager.weft_ok(&["service", "update", "web", "--secret-rm", "db.pw"])?;
    let gone = cluster.in_task("web.1", &["ls", "/run/secrets"])?;
    assert!(!gone.status.success());
    cluster.wait("the secret to be removed", || {
        manager.weft_ok(&["secret", "rm", "db.pw"]).ok()
    })?;
    cluster.down()
}

#[test]
fn a_worker_without_managers_keeps_its_tasks_and_their_secrets() -> anyhow::Result<()> {
    let cluster = Cluster::start("secrets-alone", 1, 1)?;
    let (manager, worker) = (cluster.founder(), &cluster.workers[0]);
    keep(manager, &["secret", "create", "pw"], CANARY)?;
    manager.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--constraint",
        "node.role==worker",
        "--secret",
        "pw",
        "--",
        "sleep",
        "1000",
    ])?;
    reads(&cluster, "web", "/run/secrets/pw", CANARY)?;
    let tasks = cluster.wait_running("web", 1)?;
    let before = cluster.processes(&tasks)?;
    worker.kill_daemon()?;
    worker.start_daemon()?;
    worker.wait_ready(CEILING)?;
    reads(&cluster, "web", "/run/secrets/pw", CANARY)?;
    assert_eq!(cluster.processes(&tasks)?, before, "the same process");
    let mut found = Vec::new();
    spilt(&worker.state_dir(), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
    cluster.down()
}

#[test]
fn placeholders_are_filled_in_where_the_task_runs() -> anyhow::Result<()> {
    let cluster = Cluster::start("secrets-template", 1, 0)?;
    let manager = cluster.founder();
    keep(manager, &["secret", "create", "pw"], "hunter2")?;
    let text = "{{.Service.Name}} {{.Node.Hostname}} {{.Task.Slot}} {{secret \"pw\"}}\n";
    keep(manager, &["config", "create", "--template", "site"], text)?;
    manager.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--secret",
        "pw",
        "--config",
        "site",
        "--env",
        "WHERE={{.Node.Hostname}}",
        "--hostname",
        "{{.Service.Name}}-{{.Task.Slot}}",
        "--",
        "sh",
        "-c",
        "hostname; echo $WHERE; cat /site; sleep 1000",
    ])?;
    let name = cluster.ask(&["node", "ls", "--format", "json"])?[0]["hostname"].clone();
    let name = name.as_str().context("a host name")?.to_owned();
    reads(&cluster, "web", "/site", &format!("web {name} 1 hunter2\n"))?;
    let logs = cluster.wait("its output", || {
        let logs = manager.weft_ok(&["service", "logs", "web"]).ok()?;
        logs.contains("hunter2").then_some(logs)
    })?;
    assert!(logs.contains("web-1") && logs.contains(&name), "{logs}");
    let refused = manager.weft(&["service", "create", "--env", "A={{.Nope}}", "--", "true"])?;
    assert!(!refused.status.success() && refused.stderr.contains("{{.Nope}} is unknown"));
    cluster.down()
}
