//! Certificates are renewed and the root is changed under everything that goes on; a node whose
//! certificate has expired comes back as the node it was.

use anyhow::Context;
use anyhow::ensure;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::CEILING;
use weft_tests::Cluster;

/// Renewed after 5 to 8 s, with more than 3 s left for it on a machine that does other things too.
const SHORT: &str = "12s";
/// Gone while a test waits for it.
const SHORTEST: &str = "4s";

fn set_life(cluster: &Cluster, life: &str) -> anyhow::Result<()> {
    let args = ["cluster", "update", "--cert-ttl", life, "--development"];
    cluster.founder().weft_ok(&args)?;
    Ok(())
}

/// What the managers know of every node's certificate: host name, end, issuer, trusted roots.
fn held(cluster: &Cluster) -> Option<BTreeMap<String, (i64, String, usize)>> {
    let rows = cluster.ask(&["node", "ls", "--format", "json"]).ok()?;
    let names: Vec<String> = contract::rows(&rows)
        .iter()
        .filter_map(|node| Some(node["id"].as_str()?.to_owned()))
        .collect();
    let mut args = vec!["node", "inspect"];
    args.extend(names.iter().map(String::as_str));
    let nodes = cluster.ask(&args).ok()?;
    let one = |node: &Value| {
        let name = node.pointer("/description/hostname")?.as_str()?.to_owned();
        let held = node.get("certificate")?;
        let issuer = held["issuer"].as_str()?.to_owned();
        let roots = held["trusted"].as_array()?.len();
        Some((name, (held["not_after"].as_i64()?, issuer, roots)))
    };
    nodes.as_array()?.iter().map(one).collect()
}

fn ca(cluster: &Cluster) -> anyhow::Result<Value> {
    cluster.ask(&["cluster", "ca", "--format", "json"])
}

fn digest(ca: &Value) -> anyhow::Result<String> {
    let digest = ca["root_digest"].as_str().context("no root digest")?;
    Ok(digest.to_owned())
}

/// Waits until no change is under way and every node holds nothing but `root`.
fn wait_for_root(cluster: &Cluster, root: &str) -> anyhow::Result<()> {
    cluster.wait("every node has only the new root", || {
        let all = held(cluster)?;
        all.values()
            .all(|(_, issuer, roots)| issuer == root && *roots == 1)
            .then_some(())
    })
}

fn waits_for(ca: &Value) -> Vec<String> {
    let waiting = ca.pointer("/rotation/waiting").and_then(Value::as_array);
    let names = waiting.into_iter().flatten();
    names
        .filter_map(|node| Some(node["hostname"].as_str()?.to_owned()))
        .collect()
}

fn expires(host: &Host) -> Option<String> {
    let info = host
        .weft_json(&["cluster", "info", "--format", "json"])
        .ok()?;
    Some(info["certificate_expires"].as_str()?.to_owned())
}

/// Asks the managers all the time; what failed.
fn calls(cluster: &Cluster, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    let mut turn = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        for manager in &cluster.managers {
            let label = format!("turn={turn}");
            let args: [&[&str]; 2] = [
                &["node", "ls", "-q"],
                &["node", "update", manager.name(), "--label-add", &label],
            ];
            for args in args {
                match manager.weft(args) {
                    Ok(done) if done.success() && done.stderr.is_empty() => answered += 1,
                    Ok(done) => {
                        failed.push(format!("{}: {args:?}: {}", manager.name(), done.said()))
                    }
                    Err(error) => failed.push(format!("{}: {error}", manager.name())),
                }
            }
        }
    }
    (answered, failed)
}

/// A machine joins and leaves, again and again.
fn joins(cluster: &Cluster, guest: &Host, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut joined, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let through = &cluster.managers[joined % cluster.managers.len()];
        let once = || -> anyhow::Result<()> {
            let (manager, own) = (through.addr().to_string(), guest.addr().to_string());
            let join = || -> anyhow::Result<_> {
                let token = through.weft_ok(&contract::join_token("worker"))?;
                Ok(guest.weft(&contract::join(token.trim(), &manager, &own))?)
            };
            let mut done = join()?;
            // Printed just before a change of the root was done, and used after it: it says so.
            if !done.success() && done.stderr.contains("join-token") {
                done = join()?;
            }
            ensure!(done.success(), "{}", done.said());
            cluster.wait("the guest is ready", || {
                let nodes = through.weft_json(&contract::node_ls()).ok()?;
                let ready =
                    |node: &&Value| node["hostname"] == guest.name() && node["status"] == "ready";
                contract::rows(&nodes).iter().find(ready).map(drop)
            })?;
            guest.weft_ok(&["cluster", "leave"])?;
            Ok(())
        };
        match once() {
            Ok(()) => joined += 1,
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    (joined, failed)
}

#[test]
fn certificates_are_renewed_all_the_time_and_the_root_is_changed_twice_and_no_call_fails()
-> anyhow::Result<()> {
    let cluster = Cluster::start("certs", 3, 1)?;
    let guest = cluster.rig.host("guest")?;
    guest.start_daemon()?;
    guest.wait_ready(CEILING)?;
    let founder = cluster.founder();
    let old_token = founder.weft_ok(&contract::join_token("worker"))?;
    set_life(&cluster, SHORT)?;
    let first = digest(&ca(&cluster)?)?;

    // Follows everything that happens through one connection.
    let watcher = &cluster.managers[1];
    let mut watch = Command::new(weft_tests::weft_binary()?);
    watch
        .args(contract::socket_option(&watcher.socket()))
        .args(["events", "--format", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut watch = watcher.spawn(&mut watch)??;
    let (out, err) = (watch.stdout.take(), watch.stderr.take());

    let stop = AtomicBool::new(false);
    let mut ends: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let (lines, noise, asked, joined) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            std::io::read_to_string(pipe.expect("a pipe")).unwrap_or_default()
        };
        let out = scope.spawn(move || read(out.map(|out| Box::new(out) as _)));
        let err = scope.spawn(move || read(err.map(|err| Box::new(err) as _)));
        let asking = scope.spawn(|| calls(&cluster, &stop));
        let joining = scope.spawn(|| joins(&cluster, &guest, &stop));
        let outcome = (|| {
            for _ in 0..2 {
                let before = digest(&ca(&cluster)?)?;
                let shown = founder.weft_ok(&["cluster", "ca", "--rotate"])?;
                ensure!(!shown.contains(&before), "the root is the same: {shown}");
            }
            cluster.wait("every member renewed its certificate three times", || {
                for (name, (end, _, _)) in held(&cluster)? {
                    ends.entry(name).or_default().insert(end);
                }
                let often = |host: &Host| ends.get(host.name()).is_some_and(|ends| ends.len() > 3);
                cluster.nodes().all(often).then_some(())
            })
        })();
        stop.store(true, Ordering::Relaxed);
        let died = |_| anyhow::anyhow!("a thread of the load panicked");
        let (asked, joined) = (asking.join().map_err(died)?, joining.join().map_err(died)?);
        watch.kill()?;
        watch.wait()?;
        let (lines, noise) = (out.join().map_err(died)?, err.join().map_err(died)?);
        outcome.map(|()| (lines, noise, asked, joined))
    })?;
    assert_eq!(asked.1, Vec::<String>::new(), "of {} calls", asked.0);
    assert_eq!(joined.1, Vec::<String>::new(), "of {} joins", joined.0);
    assert!(asked.0 > 50 && joined.0 > 1, "{} {}", asked.0, joined.0);
    assert_eq!(noise, "", "the watch broke");
    let revisions: Vec<u64> = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["revision"].as_u64())
        .collect();
    assert!(revisions.len() > 10 && revisions.is_sorted(), "{lines}");
    let downs = lines.lines().filter(|line| line.contains("\"down\""));
    assert_eq!(downs.count(), 0, "a node was taken for down");

    let last = digest(&ca(&cluster)?)?;
    assert_ne!(first, last);
    wait_for_root(&cluster, &last)?;
    // What was printed before names a root that is no more, and what is printed now lets nodes in.
    let join = |token: &str| {
        let own = guest.addr().to_string();
        guest.weft(&contract::join(
            token.trim(),
            &founder.addr().to_string(),
            &own,
        ))
    };
    let refused = join(&old_token)?;
    assert!(
        !refused.success() && refused.stderr.contains("join-token"),
        "{}",
        refused.said()
    );
    let joined = join(&founder.weft_ok(&contract::join_token("worker"))?)?;
    assert!(joined.success(), "{}", joined.said());
    cluster.wait_for_nodes(5)?;
    cluster.down()
}

#[test]
fn a_node_that_is_away_holds_a_rotation_up_by_name_until_it_is_called_off_or_the_node_is_back()
-> anyhow::Result<()> {
    let cluster = Cluster::start("away", 1, 2)?;
    let (founder, away) = (cluster.founder(), &cluster.workers[0]);
    let first = digest(&ca(&cluster)?)?;
    cluster.wait("all certificates are known", || {
        held(&cluster).filter(|held| held.len() == 3)
    })?;
    away.cut()?;
    founder.weft_ok(&["cluster", "ca", "--rotate", "--detach"])?;
    let refused = founder.weft(&["cluster", "ca", "--rotate", "--detach"])?;
    assert!(refused.stderr.contains("--abort"), "{}", refused.said());
    cluster.wait("only the one that is away is waited for", || {
        (waits_for(&ca(&cluster).ok()?) == [away.name()]).then_some(())
    })?;
    let shown = founder.weft_ok(&["cluster", "ca"])?;
    assert!(
        shown.contains("Waits for") && shown.contains(away.name()),
        "{shown}"
    );
    founder.weft_ok(&["cluster", "ca", "--abort"])?;
    assert_eq!(ca(&cluster)?["rotation"], Value::Null);
    assert_eq!(digest(&ca(&cluster)?)?, first);

    // Once more, and this time it comes back.
    founder.weft_ok(&["cluster", "ca", "--rotate", "--detach"])?;
    away.heal()?;
    founder.weft_ok(&["cluster", "ca"])?;
    cluster.wait("the root is changed", || {
        let ca = ca(&cluster).ok()?;
        (ca["rotation"] == Value::Null && digest(&ca).ok()? != first).then_some(())
    })?;
    wait_for_root(&cluster, &digest(&ca(&cluster)?)?)?;

    // A node that is gone for good is removed, and held up nobody.
    let second = digest(&ca(&cluster)?)?;
    away.cut()?;
    away.kill_all()?;
    founder.weft_ok(&["cluster", "ca", "--rotate", "--detach"])?;
    founder.weft_ok(&["node", "rm", "--force", away.name()])?;
    cluster.wait("the root is changed without it", || {
        let ca = ca(&cluster).ok()?;
        (ca["rotation"] == Value::Null && digest(&ca).ok()? != second).then_some(())
    })?;
    cluster.down()
}

#[test]
fn a_rotation_goes_on_when_the_leader_dies_in_the_middle_of_it() -> anyhow::Result<()> {
    let cluster = Cluster::start("rotate-kill", 3, 1)?;
    cluster.wait("all certificates are known", || {
        held(&cluster).filter(|held| held.len() == 4)
    })?;
    for _ in 0..2 {
        let before = digest(&ca(&cluster)?)?;
        let leader = cluster.leader()?;
        leader.weft_ok(&["cluster", "ca", "--rotate", "--detach"])?;
        leader.kill_daemon()?;
        let next = cluster.wait("another leader, and the change is still known", || {
            let leader = cluster.leader().ok()?;
            let ca = ca(&cluster).ok()?;
            let known = ca["rotation"] != Value::Null || digest(&ca).ok()? != before;
            known.then_some(leader)
        })?;
        leader.start_daemon()?;
        // Its successor dies too, wherever the change is by now.
        next.kill_daemon()?;
        next.start_daemon()?;
        for host in [leader, next] {
            host.wait_ready(CEILING)?;
        }
        cluster.wait("the root is changed", || {
            let ca = ca(&cluster).ok()?;
            (ca["rotation"] == Value::Null && digest(&ca).ok()? != before).then_some(())
        })?;
    }
    wait_for_root(&cluster, &digest(&ca(&cluster)?)?)?;
    cluster.wait_for_nodes(4)?;
    cluster.wait_for_voters(3)?;
    cluster.down()
}

#[test]
fn a_node_whose_certificate_has_expired_comes_back_with_its_identity_and_its_tasks()
-> anyhow::Result<()> {
    let cluster = Cluster::start("expired", 1, 1)?;
    let (founder, worker) = (cluster.founder(), &cluster.workers[0]);
    founder.weft_ok(&["node", "update", founder.name(), "--availability", "drain"])?;
    // Of a service that has no other place for them: while it is down, they are its own.
    let service = ["service", "create", "--name", "web", "--mode", "global"];
    founder.weft_ok(&[&service[..], &["--", "sleep", "1000"]].concat())?;
    let tasks = cluster.wait_running("web", 1)?;
    let alive = cluster.processes(&tasks)?;
    let identity = |host: &Host| host.weft_json(&["cluster", "info", "--format", "json"]);
    let node_id = identity(worker)?["node_id"].clone();
    let long = expires(worker).context("no certificate")?;
    set_life(&cluster, SHORTEST)?;
    cluster.wait("a certificate of seconds", || {
        (expires(worker)? < long).then_some(())
    })?;
    worker.cut()?;
    cluster.wait("it has expired and says so", || {
        let note = identity(worker).ok()?["note"].as_str()?.to_owned();
        (note.contains("expired") && note.contains("weft cluster join --token")).then_some(())
    })?;
    // A connection that was open before would outlive the certificate, and renew it.
    worker.kill_daemon()?;
    worker.start_daemon()?;
    cluster.wait("it still says so", || {
        let note = identity(worker).ok()?["note"].as_str()?.to_owned();
        note.contains("expired").then_some(())
    })?;
    founder.weft_ok(&["cluster", "update", "--cert-ttl", "24h"])?;
    worker.heal()?;

    let manager = founder.addr().to_string();
    let join = |role: &str| -> anyhow::Result<_> {
        let token = founder.weft_ok(&contract::join_token(role))?;
        let own = worker.addr().to_string();
        Ok(worker.weft(&contract::join(token.trim(), &manager, &own))?)
    };
    // The kernel takes a moment to find a neighbour again that was away.
    let reaching = |role: &str| {
        cluster.wait("the manager is in reach again", || {
            let said = join(role).ok()?;
            (!said.stderr.contains("No route to host")).then_some(said)
        })
    };
    let refused = reaching("manager")?;
    assert!(
        !refused.success() && refused.stderr.contains("join-token worker"),
        "{}",
        refused.said()
    );
    let renewed = join("worker")?;
    assert!(
        renewed.success() && renewed.stdout.contains("renewed"),
        "{}",
        renewed.said()
    );
    cluster.wait_for_nodes(2)?;
    let info = identity(worker)?;
    assert_eq!(info["node_id"], node_id);
    assert_eq!(info["note"], Value::Null);
    let after = cluster.wait_running("web", 1)?;
    assert_eq!(cluster.processes(&after)?, alive, "the very same process");
    // It is a member like any other again, and refused as one that has joined already.
    let again = join("worker")?;
    assert!(again.stderr.contains("already"), "{}", again.said());

    // One that was removed while it was away is not let in as what it was.
    set_life(&cluster, SHORTEST)?;
    let long = expires(worker).context("no certificate")?;
    cluster.wait("a certificate of seconds", || {
        (expires(worker)? < long).then_some(())
    })?;
    worker.cut()?;
    cluster.wait("it has expired", || {
        let note = identity(worker).ok()?["note"].as_str()?.to_owned();
        note.contains("expired").then_some(())
    })?;
    founder.weft_ok(&["node", "rm", "--force", worker.name()])?;
    founder.weft_ok(&["cluster", "update", "--cert-ttl", "24h"])?;
    worker.heal()?;
    // Refused, or a node of its own from now on, if it has heard of its removal before it asked.
    let answer = reaching("worker")?;
    let anew = answer.success() && identity(worker)?["node_id"] != node_id;
    assert!(
        anew || answer.stderr.contains("was removed"),
        "{}",
        answer.said()
    );
    cluster.down()
}

#[test]
fn managers_whose_certificates_all_expired_while_they_were_off_start_as_if_nothing_had_been()
-> anyhow::Result<()> {
    let cluster = Cluster::start("all-expired", 3, 0)?;
    let long = expires(cluster.founder()).context("no certificate")?;
    set_life(&cluster, SHORTEST)?;
    cluster.wait("certificates of seconds", || {
        let short = |host: &Host| expires(host).is_some_and(|at| at < long);
        cluster.nodes().all(short).then_some(())
    })?;
    cluster
        .founder()
        .weft_ok(&["network", "create", "before"])?;
    for host in cluster.nodes() {
        host.stop_daemon()?;
    }
    let expired = |host: &Host| {
        let path = host.state_dir().join("identity/current/node.crt");
        let check = host.sh(&[
            "openssl",
            "x509",
            "-checkend",
            "0",
            "-noout",
            "-in",
            path.to_str()?,
        ]);
        check.ok().map(|check| !check.success())
    };
    cluster.wait("all certificates have expired", || {
        let all: Option<Vec<bool>> = cluster.nodes().map(expired).collect();
        all?.into_iter().all(|expired| expired).then_some(())
    })?;
    for host in cluster.nodes() {
        host.start_daemon()?;
    }
    for host in cluster.nodes() {
        host.wait_ready(CEILING)?;
    }
    cluster.wait("a change", || {
        let args = ["cluster", "update", "--cert-ttl", "24h"];
        let done = cluster.founder().weft(&args).ok()?;
        done.success().then_some(())
    })?;
    cluster.wait_for_nodes(3)?;
    let seen = cluster.founder().weft_ok(&["network", "ls"])?;
    assert!(seen.contains("before"), "{seen}");
    cluster.down()
}
