//! The cluster's memory survives the loss of most of its managers, and of all of them.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::CEILING;
use weft_tests::Cluster;

const FORCE: [&str; 3] = ["cluster", "init", "--force-new-cluster"];

fn with_whoami(name: &str, managers: usize, workers: usize) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start(name, managers, workers)?;
    let founder = cluster.founder();
    founder.weft_ok(&["network", "create", "demo"])?;
    founder.weft_ok(&[
        "service",
        "create",
        "--name",
        "whoami",
        "--replicas",
        "5",
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

fn kept<'a>(processes: &'a [String], hosts: &[&str]) -> Vec<&'a String> {
    let on = |line: &&String| {
        hosts
            .iter()
            .any(|host| line.contains(&format!(" on {host} ")))
    };
    processes.iter().filter(on).collect()
}

fn lose(host: &Host) -> anyhow::Result<()> {
    host.kill_all()?;
    Ok(host.cut()?)
}

fn networks(host: &Host) -> Option<Vec<String>> {
    let networks = host
        .weft_json(&["network", "ls", "--format", "json"])
        .ok()?;
    let name = |row: &Value| contract::word(row, &["name"]).to_owned();
    Some(contract::rows(&networks).iter().map(name).collect())
}

#[test]
fn two_of_three_managers_are_lost_for_good_and_one_command_brings_the_cluster_back()
-> anyhow::Result<()> {
    let mut cluster = with_whoami("majority", 3, 2)?;
    let tasks = cluster.wait_running("whoami", 5)?;
    let alive = cluster.processes(&tasks)?;
    let survivor = cluster.managers[0].clone();
    let lost = [cluster.managers[1].clone(), cluster.managers[2].clone()];
    let needless = survivor.weft(&FORCE)?;
    assert!(
        !needless.success() && needless.stderr.contains("needs no recovery"),
        "{}",
        needless.stderr
    );

    for host in &lost {
        lose(host)?;
    }
    // Requests by way of the nodes that are left, from before the loss is even noticed until after
    // the recovery: only tasks that died with their machines may be missed.
    let stop = AtomicBool::new(false);
    let stays: Vec<&Host> = [&survivor].into_iter().chain(&cluster.workers).collect();
    let names: Vec<&str> = stays.iter().map(|host| host.name()).collect();
    let refused = std::thread::scope(|scope| -> anyhow::Result<_> {
        let answers = scope.spawn(|| {
            let mut count = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                for host in &stays {
                    count += u32::from(cluster.get(host, 8000).is_ok());
                }
            }
            count
        });
        let refused = survivor.weft(&["network", "create", "undecided"])?;
        let begun = Instant::now();
        let said = survivor.weft_ok(&FORCE);
        println!(
            "recovered in {:.1} s of work",
            begun.elapsed().as_secs_f64()
        );
        stop.store(true, Ordering::Relaxed);
        let said = said?;
        assert!(said.contains("n2, n3"), "{said}");
        let answers = answers.join().expect("the thread that asks");
        println!("{answers} requests were answered meanwhile");
        assert!(answers > 0);
        Ok(refused)
    })?;
    assert!(
        !refused.success() && refused.stderr.contains("may have been made all the same"),
        "{}",
        refused.stderr
    );
    cluster.managers.truncate(1);
    cluster.wait_for_voters(1)?;
    cluster.wait_for_nodes(3)?;
    let now = cluster.wait_running("whoami", 5)?;
    let processes = cluster.processes(&now)?;
    assert_eq!(
        kept(&processes, &names).len() - kept(&alive, &names).len(),
        5 - kept(&alive, &names).len(),
        "those that were lost run elsewhere"
    );
    for line in kept(&alive, &names) {
        assert!(
            processes.contains(line),
            "{line} was touched: {processes:?}"
        );
    }
    // What nobody could acknowledge may have been in the survivor's log, and then it counts.
    let kept = networks(&survivor).unwrap_or_default();
    assert!(
        kept == ["demo"] || kept == ["demo", "undecided"],
        "{kept:?}"
    );
    let again = survivor.weft(&FORCE)?;
    assert!(
        again.stderr.contains("needs no recovery"),
        "{}",
        again.stderr
    );

    for name in ["n6", "n7"] {
        cluster.join(name, "manager", &survivor)?;
    }
    cluster.wait_for_voters(3)?;
    // One of the lost is found again: it is no manager, and knows it.
    lost[0].heal()?;
    lost[0].start_daemon()?;
    lost[0].wait_ready(CEILING)?;
    cluster.wait("the old manager on its own", || {
        (cluster.state_of(&lost[0])? == "none").then_some(())
    })?;
    assert!(
        lost[0].state_dir().join("raft.old").exists(),
        "its log is kept"
    );
    cluster.wait_for_voters(3)?;
    survivor.weft_ok(&["network", "create", "decided"])?;
    cluster.down()
}

#[test]
fn a_recovery_that_is_killed_at_any_moment_is_finished_by_asking_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("forcekill", 3, 0)?;
    let survivor = cluster.managers[0].clone();
    survivor.weft_ok(&["network", "create", "demo"])?;
    for host in &cluster.managers[1..] {
        lose(host)?;
    }
    cluster.managers.truncate(1);
    // Nothing is asked until it knows of no majority: that takes most of the time.
    for delay in [200_u64, 5_050, 5_150, 5_250, 5_400, 5_600, 5_900, 6_300] {
        let asked = survivor.clone();
        let asking = std::thread::spawn(move || asked.weft(&FORCE));
        // The moment is the input here.
        std::thread::sleep(Duration::from_millis(delay));
        survivor.kill_daemon()?;
        drop(asking.join());
        survivor.start_daemon()?;
        survivor.wait_ready(CEILING)?;
        cluster.wait("the daemon is back", || {
            (cluster.state_of(&survivor)? == "manager").then_some(())
        })?;
    }
    cluster.wait("the recovery", || {
        let output = survivor.weft(&FORCE).ok()?;
        (output.success() || output.stderr.contains("needs no recovery")).then_some(())
    })?;
    cluster.wait_for_voters(1)?;
    assert_eq!(networks(&survivor).unwrap_or_default(), ["demo"]);
    for left in ["raft.new", "raft.work"] {
        assert!(!survivor.state_dir().join(left).exists(), "{left} is left");
    }
    cluster.join("n4", "manager", &survivor)?;
    cluster.wait_for_voters(2)?;
    cluster.down()
}

fn backup(manager: &Host, file: &str) -> anyhow::Result<Value> {
    Ok(manager.weft_json(&["cluster", "backup", "--format", "json", file])?)
}

#[test]
fn a_backup_is_restored_where_the_manager_was_and_agents_come_home_by_themselves()
-> anyhow::Result<()> {
    let cluster = with_whoami("restore", 1, 2)?;
    let manager = cluster.founder();
    let tasks = cluster.wait_running("whoami", 5)?;
    let alive = cluster.processes(&tasks)?;
    let workers: Vec<&str> = cluster.workers.iter().map(Host::name).collect();
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("cluster.backup");
    let file = path.to_str().expect("a path in words");
    let taken = backup(manager, file)?;
    let mode = std::fs::metadata(&path)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let there = manager.weft(&["cluster", "backup", file])?;
    assert!(there.stderr.contains("--force"), "{}", there.stderr);
    let worker = cluster.workers[0].weft(&["cluster", "backup", "--force", file])?;
    assert!(worker.stderr.contains("is a worker"), "{}", worker.stderr);
    // Agents hear of more than the backup knows.
    manager.weft_ok(&["service", "scale", "whoami=6"])?;
    cluster.wait_running("whoami", 6)?;

    // The machine is set up anew under its old address.
    manager.kill_all()?;
    std::fs::remove_dir_all(manager.state_dir())?;
    manager.start_daemon()?;
    manager.wait_ready(CEILING)?;
    let own = manager.addr().to_string();
    let whole = std::fs::read(&path)?;
    for (bytes, why) in [
        (whole[..whole.len() / 2].to_vec(), "cut short"),
        ([&whole[..whole.len() - 40], &[0; 40]].concat(), "damaged"),
        (b"weftbak2and so on".to_vec(), "layout"),
        (b"something else".to_vec(), "no backup"),
    ] {
        let bad = dir.path().join("bad");
        std::fs::write(&bad, bytes)?;
        let bad = bad.to_str().expect("a path in words");
        let refused = manager.weft(&["cluster", "restore", "--advertise-addr", &own, bad])?;
        assert!(
            !refused.success() && refused.stderr.contains(why),
            "{why}: {}",
            refused.stderr
        );
        assert_eq!(cluster.state_of(manager).as_deref(), Some("none"));
    }
    let begun = Instant::now();
    let restored = manager.weft_json(&[
        "cluster",
        "restore",
        "--format",
        "json",
        "--advertise-addr",
        &own,
        file,
    ])?;
    println!("restored in {:.1} s of work", begun.elapsed().as_secs_f64());
    assert_eq!(restored["cluster_id"], taken["cluster_id"]);
    assert_eq!(restored["revision"], taken["revision"]);
    cluster.wait_for_nodes(3)?;
    let now = cluster.wait_running("whoami", 5)?;
    let processes = cluster.processes(&now)?;
    for line in kept(&alive, &workers) {
        assert!(
            processes.contains(line),
            "{line} was touched: {processes:?}"
        );
    }
    cluster.wait_answers(cluster.nodes(), 8000)?;
    let twice = manager.weft(&["cluster", "restore", "--advertise-addr", &own, file])?;
    assert!(twice.stderr.contains("already"), "{}", twice.stderr);
    cluster.down()
}

#[test]
fn a_backup_is_restored_on_new_machines_and_services_run_there() -> anyhow::Result<()> {
    let mut cluster = with_whoami("newhome", 3, 0)?;
    let founder = cluster.founder().clone();
    let token = founder.weft_ok(&contract::join_token("worker"))?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("cluster.backup");
    let file = path.to_str().expect("a path in words");
    backup(&founder, file)?;
    for host in std::mem::take(&mut cluster.managers) {
        lose(&host)?;
    }
    let new = cluster.rig.host("n4")?;
    new.start_daemon()?;
    new.wait_ready(CEILING)?;
    let own = new.addr().to_string();
    let said = new.weft_ok(&["cluster", "restore", "--advertise-addr", &own, file])?;
    assert!(said.contains("n1, n2, n3"), "{said}");
    cluster.managers.push(new.clone());
    assert_eq!(
        new.weft_ok(&contract::join_token("worker"))?,
        token,
        "tokens are as they were"
    );
    let joined = cluster.join("n5", "worker", &new)?;
    cluster.join("n6", "manager", &new)?;
    cluster.wait_for_nodes(3)?;
    cluster.wait_for_voters(2)?;
    cluster.wait_running("whoami", 5)?;
    cluster.wait_answers([&new, &joined].into_iter(), 8000)?;
    assert_eq!(networks(&new).unwrap_or_default(), ["demo"]);
    cluster.down()
}
