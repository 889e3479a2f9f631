//! A manager's disk is of no use without the unlock key, and tasks do not mind.

use std::io::Write;
use std::process::Command;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::CEILING;
use weft_tests::Cluster;

const LINE: [&str; 3] = ["service", "create", "--name"];

/// The key that managers are unlocked with, as a manager that runs shows it.
fn unlock_key(host: &Host) -> anyhow::Result<String> {
    let shown = host.weft_ok(&["cluster", "unlock-key", "--quiet"])?;
    Ok(shown.trim().to_owned())
}

/// What `weft cluster unlock` says to a key.
fn unlock(host: &Host, key: &str) -> anyhow::Result<weft_rig::Output> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(key.as_bytes())?;
    let path = file.path().to_string_lossy().into_owned();
    Ok(host.weft(&["cluster", "unlock", "--key-file", &path])?)
}

fn restart(host: &Host) -> anyhow::Result<()> {
    host.kill_daemon()?;
    host.start_daemon()?;
    Ok(host.wait_ready(CEILING)?)
}

/// Whether a private key of TLS can be read on the host's disk.
fn shows_a_key(host: &Host) -> anyhow::Result<bool> {
    let found = Command::new("grep")
        .args(["-rlE", "BEGIN (EC )?PRIVATE KEY| plain "])
        .arg(host.state_dir())
        .output()?;
    Ok(!found.stdout.is_empty())
}

fn waits_sealed(cluster: &Cluster, host: &Host) -> anyhow::Result<()> {
    let what = format!("sealed keys on {}", host.name());
    cluster.wait(&what, || {
        shows_a_key(host).ok().filter(|shown| !shown).map(drop)
    })
}

#[test]
fn a_locked_manager_takes_no_part_until_it_gets_the_key_and_its_tasks_go_on() -> anyhow::Result<()>
{
    let cluster = Cluster::start("autolock", 3, 0)?;
    let founder = cluster.founder();
    founder.weft_ok(&["network", "create", "demo"])?;
    let mut create: Vec<&str> = LINE.to_vec();
    create.extend(["whoami", "--replicas", "3", "--network", "demo"]);
    create.extend(["--publish", "8000:8000", "--", "weft", "whoami"]);
    founder.weft_ok(&create)?;
    cluster.wait_answers(cluster.nodes(), 8000)?;
    let none = founder.weft(&["cluster", "unlock-key"])?;
    assert!(none.stderr.contains("--autolock=true"), "{}", none.stderr);
    assert!(shows_a_key(founder)?, "the test can see keys");

    let told = founder.weft_ok(&["cluster", "update", "--autolock=true"])?;
    let old = unlock_key(founder)?;
    assert!(old.starts_with("WFLK_1_") && told.contains(&old), "{told}");
    for manager in &cluster.managers {
        waits_sealed(&cluster, manager)?;
    }

    let away = cluster.managers[2].clone();
    let tasks = cluster.wait_running("whoami", 3)?;
    let alive = cluster.processes(&tasks)?;
    restart(&away)?;
    assert_eq!(cluster.state_of(&away).as_deref(), Some("locked"));
    let refused = away.weft(&["node", "ls"])?;
    assert!(
        !refused.success() && refused.stderr.contains("weft cluster unlock"),
        "{}",
        refused.stderr
    );
    cluster.wait_answers(cluster.nodes(), 8000)?;
    assert_eq!(cluster.processes(&tasks)?, alive, "no task was touched");
    cluster.wait("the others to miss it", || {
        let nodes = founder
            .weft_json(&["node", "ls", "--format", "json"])
            .ok()?;
        let rows = contract::rows(&nodes);
        rows.iter()
            .find(|node| {
                node["hostname"] == away.name()
                    && contract::word(node, &["status", "state"]) == "down"
            })
            .map(drop)
    })?;

    let mistyped = unlock(&away, &old.replacen("WFLK_1_", "WFLK_1_0", 1))?;
    assert!(
        mistyped.stderr.contains("characters"),
        "{}",
        mistyped.stderr
    );
    let rotated = founder.weft_ok(&["cluster", "unlock-key", "--rotate", "--quiet"])?;
    let new = rotated.trim().to_owned();
    assert_ne!(new, old);
    let wrong = unlock(&away, &new)?;
    assert!(
        !wrong.success() && wrong.stderr.contains("the one before"),
        "{}",
        wrong.stderr
    );
    let opened = unlock(&away, &old)?;
    assert!(opened.success(), "{}", opened.stderr);
    cluster.wait_for_voters(3)?;
    cluster.wait_for_nodes(3)?;

    // It has taken the new key by now or takes it soon, and the old one is of no use then.
    cluster.wait("the new key on the manager that was away", || {
        restart(&away).ok()?;
        let opened = unlock(&away, &new).ok()?;
        if !opened.success() {
            assert!(unlock(&away, &old).ok()?.success());
            cluster.wait_for_nodes(3).ok()?;
            return None;
        }
        Some(())
    })?;
    cluster.wait_for_nodes(3)?;

    founder.weft_ok(&["cluster", "update", "--autolock=false"])?;
    for manager in &cluster.managers {
        cluster.wait("keys that open by themselves", || {
            shows_a_key(manager).ok().filter(|shown| *shown).map(drop)
        })?;
    }
    restart(&away)?;
    cluster.wait_for_nodes(3)?;
    cluster.wait_for_voters(3)?;
    cluster.down()
}

#[test]
fn a_cluster_that_is_locked_from_the_beginning_never_shows_a_key() -> anyhow::Result<()> {
    let mut cluster = Cluster::start_with("locked", 1, 1, &["--autolock"])?;
    let founder = cluster.founder().clone();
    assert!(!shows_a_key(&founder)?);
    let key = unlock_key(&founder)?;
    let joined = cluster.join("n3", "manager", &founder)?;
    assert!(!shows_a_key(&joined)?, "it was told the key when it joined");
    cluster.wait_for_voters(2)?;
    founder.weft_ok(&["node", "promote", "n2"])?;
    let promoted = cluster.workers[0].clone();
    cluster.managers.push(promoted.clone());
    cluster.wait_for_voters(3)?;
    waits_sealed(&cluster, &promoted)?;

    // All at once, and then one after the other.
    for host in [&founder, &joined, &promoted] {
        host.kill_daemon()?;
    }
    for host in [&founder, &joined, &promoted] {
        host.start_daemon()?;
        host.wait_ready(CEILING)?;
        assert_eq!(cluster.state_of(host).as_deref(), Some("locked"));
    }
    for host in [&founder, &joined, &promoted] {
        let opened = unlock(host, &key)?;
        assert!(opened.success(), "{}", opened.stderr);
    }
    cluster.wait_for_voters(3)?;
    cluster.wait_for_nodes(3)?;

    // A demoted manager has nothing to hide, and needs no key.
    founder.weft_ok(&["node", "demote", "n2"])?;
    cluster.wait("a worker with its own key", || {
        let raft = promoted.state_dir().join("raft.key").exists();
        (!raft && shows_a_key(&promoted).ok()?).then_some(())
    })?;
    restart(&promoted)?;
    cluster.wait_for_nodes(3)?;
    assert_eq!(cluster.state_of(&promoted).as_deref(), Some("worker"));

    // Whoever lost the key can still leave.
    restart(&joined)?;
    let refused = joined.weft(&["cluster", "leave"])?;
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    joined.weft_ok(&["cluster", "leave", "--force"])?;
    assert_eq!(cluster.state_of(&joined).as_deref(), Some("none"));
    assert!(!joined.state_dir().join("raft.key").exists());
    assert!(!joined.state_dir().join("raft").exists());
    cluster.down()
}
