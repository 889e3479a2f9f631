//! Keys of encrypted networks, from the command line to the nodes that use them.
//!
//! The data plane does not encrypt yet: in its place, workers of the test's own hold sessions with
//! real managers, say that they can, and keep what they are told.

mod consumer;

use anyhow::Context;
use consumer::Consumer;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;
use weft_rig::Host;
use weft_tests::CEILING;
use weft_tests::Cluster;

/// How long two nodes may take to share a key again after one of them or a leader was away. Sessions
/// are found again within seconds; the rest is for a busy machine.
const HEALS_WITHIN: Duration = Duration::from_secs(30);

fn keys(cluster: &Cluster) -> anyhow::Result<Value> {
    cluster.ask(&["cluster", "keys", "--format", "json"])
}

fn newest(keys: &Value) -> u64 {
    let epochs = keys["epochs"].as_array();
    let last = epochs.and_then(|epochs| epochs.last());
    last.and_then(|epoch| epoch["number"].as_u64()).unwrap_or(0)
}

fn phases(keys: &Value) -> Vec<&str> {
    let epochs = keys["epochs"].as_array().into_iter().flatten();
    epochs.filter_map(|epoch| epoch["phase"].as_str()).collect()
}

/// Until every two of them share the keys they use; the same worker may lag for so long only.
fn all_share(cluster: &Cluster, what: &str, consumers: &[&Consumer]) -> anyhow::Result<()> {
    let deadline = Instant::now() + HEALS_WITHIN;
    loop {
        let apart = Consumer::apart(consumers);
        if apart.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let keys = keys(cluster).unwrap_or_default();
            anyhow::bail!("{what}: {apart:?} share no key; the managers have {keys}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_new_key_is_used_when_it_was_asked_for_and_no_command_shows_it() -> anyhow::Result<()> {
    let cluster = Cluster::start("keysring", 3, 0)?;
    let empty = cluster.founder().weft_ok(&["cluster", "keys"])?;
    assert!(empty.contains("no keys yet"), "{empty}");
    let refused =
        cluster
            .founder()
            .weft(&["network", "create", "--opt", "encrypted=true", "safe"])?;
    assert!(!refused.success());
    assert!(
        refused.stderr.contains("cannot be encrypted"),
        "{}",
        refused.stderr
    );

    for epoch in 1..=2 {
        cluster
            .founder()
            .weft_ok(&["cluster", "keys", "--rotate"])?;
        assert_eq!(newest(&keys(&cluster)?), epoch);
    }
    assert_eq!(phases(&keys(&cluster)?), ["retired", "active"]);
    let leader = cluster.leader()?;
    leader.kill_daemon()?;
    let others = cluster
        .managers
        .iter()
        .filter(|m| m.name() != leader.name());
    let other: Vec<&Host> = others.collect();
    other[0].weft_ok(&["cluster", "keys", "--rotate"])?;
    other[1].weft_ok(&["cluster", "keys", "--every", "1s"])?;
    cluster.wait("keys that change by themselves", || {
        (newest(&keys(&cluster).ok()?) > 6).then_some(())
    })?;
    let wrong = other[0].weft(&["cluster", "keys", "--every", "10ms"])?;
    assert!(wrong.stderr.contains("1s to 30 days"), "{}", wrong.stderr);
    cluster.down()
}

#[test]
fn pairs_of_nodes_share_keys_while_keys_change_leaders_die_and_a_node_sleeps() -> anyhow::Result<()>
{
    let cluster = Cluster::start("keyspairs", 3, 4)?;
    let managers: Vec<_> = cluster.managers.iter().map(Host::addr).collect();
    let mut consumers = Vec::new();
    for (host, number) in cluster.workers.iter().zip(1..) {
        host.stop_daemon()?;
        consumers.push(Consumer::start(host, number, &managers)?);
    }
    let manager = cluster.founder();
    cluster.wait("a network that is encrypted", || {
        let made = manager.weft_ok(&["network", "create", "--opt", "encrypted=true", "safe"]);
        made.ok()
    })?;
    manager.weft_ok(&["network", "create", "plain"])?;
    manager.weft_ok(&["cluster", "keys", "--every", "1s"])?;
    // Three of the four share the network, also when one of them sleeps; the managers' own nodes
    // cannot encrypt.
    let outside = cluster.workers.last().context("a fourth worker")?;
    let elsewhere = format!("node.hostname!={}", outside.name());
    manager.weft_ok(&[
        "service",
        "create",
        "-d",
        "--name",
        "talk",
        "--network",
        "safe",
        "--replicas",
        "3",
        "--replicas-max-per-node",
        "1",
        "--constraint",
        &elsewhere,
        "--",
        "sleep",
        "1000",
    ])?;
    cluster.wait_running("talk", 3)?;
    let members = cluster.wait("tunnels", || {
        let members: Vec<&Consumer> = consumers.iter().filter(|c| c.peers() > 0).collect();
        (members.len() == 3 && members.iter().all(|c| c.peers() == 2)).then_some(members)
    })?;
    all_share(&cluster, "at first", &members)?;

    let begun = newest(&keys(&cluster)?);
    for round in 0..2 {
        let sleeper = members[round];
        let before = newest(&keys(&cluster)?);
        sleeper.sleep(true);
        let leader = cluster.leader()?;
        leader.kill_daemon()?;
        let rest: Vec<&Consumer> = members
            .iter()
            .filter(|c| c.node != sleeper.node)
            .copied()
            .collect();
        cluster.wait("keys that go on without the leader and the sleeper", || {
            (newest(&keys(&cluster).ok()?) > before + 5).then_some(())
        })?;
        all_share(&cluster, "while one sleeps", &rest)?;
        leader.start_daemon()?;
        leader.wait_ready(CEILING)?;
        sleeper.sleep(false);
        cluster.wait("the sleeper's tunnels", || {
            (sleeper.peers() == 2).then_some(())
        })?;
        all_share(&cluster, "after the sleep", &members)?;
    }
    let end = cluster.wait("what keys there are", || keys(&cluster).ok())?;
    assert!(newest(&end) >= begun + 10, "{end}");

    // Need to know, over all that was ever received.
    let mut holders: BTreeMap<[u8; 32], BTreeSet<weft_proto::NodeId>> = BTreeMap::new();
    for consumer in &consumers {
        for (peer, key) in consumer.received() {
            let holders = holders.entry(key).or_default();
            holders.insert(consumer.node);
            assert!(
                holders
                    .iter()
                    .all(|node| [consumer.node, peer].contains(node))
            );
        }
    }
    assert!(holders.len() > 20, "{} keys", holders.len());
    let outside = consumers
        .iter()
        .find(|c| members.iter().all(|m| m.node != c.node));
    let outside = outside.context("a worker that is not on the network")?;
    assert_eq!(outside.received(), []);
    drop(consumers);
    cluster.down()
}
