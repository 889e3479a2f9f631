//! What people deploy a cluster for: services that answer, find each other, and keep apart.

use std::collections::BTreeMap;
use weft_tests::Cluster;
use weft_tests::Whoami;
use weft_tests::distinct;
use weft_tests::get_from;

/// Three managers, two workers, and `weft whoami` five times, published on 8000.
fn five_nodes(name: &str) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start(name, 3, 2)?;
    cluster.founder().weft_ok(&["network", "create", "demo"])?;
    whoami(&cluster, "whoami", "demo", 5, Some("8000:8000"))?;
    cluster.wait_answers(cluster.nodes(), 8000)?;
    Ok(cluster)
}

fn whoami(
    cluster: &Cluster,
    name: &str,
    network: &str,
    replicas: u32,
    publish: Option<&str>,
) -> anyhow::Result<()> {
    let replicas = replicas.to_string();
    let mut words = vec![
        "service",
        "create",
        "--name",
        name,
        "--replicas",
        &replicas,
        "--network",
        network,
    ];
    if let Some(publish) = publish {
        words.extend(["--publish", publish]);
    }
    words.extend(["--", "weft", "whoami"]);
    cluster.founder().weft_ok(&words)?;
    Ok(())
}

#[test]
fn every_node_answers_a_published_port_and_the_task_sees_the_client_outside() -> anyhow::Result<()>
{
    let cluster = five_nodes("published")?;
    let client = cluster.client.addr().to_string();
    for node in cluster.nodes() {
        let page = Whoami::parse(&cluster.get(node, 8000)?)?;
        assert_eq!(page.client, client, "through {}", node.name());
    }

    // A hundred requests reach every replica, none of them less than a tenth.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..100 {
        let page = Whoami::parse(&cluster.get(cluster.founder(), 8000)?)?;
        *counts.entry(page.task).or_default() += 1;
    }
    assert_eq!(counts.len(), 5, "{counts:?}");
    assert!(counts.values().all(|count| *count >= 10), "{counts:?}");

    // From a node itself: by its own address and by loopback.
    let node = cluster.founder();
    for url in [
        format!("http://{}:8000/", node.addr()),
        "http://127.0.0.1:8000/".to_owned(),
    ] {
        assert!(get_from(node, &url).is_ok(), "{url}");
    }
    cluster.down()
}

#[test]
fn tasks_find_services_by_name() -> anyhow::Result<()> {
    let cluster = five_nodes("names")?;
    cluster.founder().weft_ok(&[
        "service",
        "create",
        "--name",
        "redis",
        "--network",
        "demo",
        "--",
        "redis-server",
        "--save",
        "",
        "--protected-mode",
        "no",
    ])?;
    let addresses = |name: &str| -> anyhow::Result<Vec<String>> {
        let found = cluster.in_task_ok("whoami.1", &["dig", "+short", "+time=2", name])?;
        Ok(distinct(found.lines().map(str::to_owned)))
    };
    let vip = addresses("whoami")?;
    assert_eq!(vip.len(), 1, "{vip:?}");
    let tasks = addresses("tasks.whoami")?;
    assert_eq!(tasks.len(), 5, "{tasks:?}");
    assert!(!tasks.contains(&vip[0]));
    let spoken = cluster.in_task_ok("whoami.2", &["redis-cli", "-h", "redis", "ping"])?;
    assert_eq!(spoken.trim(), "PONG");

    // Through the virtual address the other side sees the caller itself.
    let page = cluster.in_task_ok(
        "whoami.3",
        &["curl", "-sS", "-m", "3", "http://whoami:8000/"],
    )?;
    let own = cluster.in_task_ok("whoami.3", &["dig", "+short", "whoami.3"])?;
    assert_eq!(Whoami::parse(&page)?.client, own.trim());
    cluster.down()
}

#[test]
fn networks_do_not_reach_each_other() -> anyhow::Result<()> {
    let cluster = Cluster::start("apart", 1, 1)?;
    for network in ["left", "right"] {
        cluster.founder().weft_ok(&["network", "create", network])?;
        whoami(&cluster, network, network, 2, None)?;
    }
    let reach = |from: &str, to: &str| {
        let url = format!("http://{to}:8000/");
        let output = cluster.in_task(from, &["curl", "-sS", "-m", "2", &url]);
        output.is_ok_and(|output| output.status.success())
    };
    assert!(reach("left.1", "left"), "a network reaches itself");
    let addr = cluster.in_task_ok("right.1", &["dig", "+short", "right.1"])?;
    for target in ["right", "right.1", "tasks.right", addr.trim()] {
        assert!(!reach("left.1", target), "left.1 reached {target}");
    }
    // Nor does a task reach its node's control port.
    let node = cluster.founder().addr().to_string();
    let probe = [
        "curl",
        "-sS",
        "-m",
        "2",
        "-k",
        &format!("https://{node}:2377/"),
    ];
    let output = cluster.in_task("left.1", &probe)?;
    assert!(matches!(output.status.code(), Some(7 | 28)), "{output:?}");
    cluster.down()
}

#[test]
fn services_scale_update_and_leave_drained_nodes() -> anyhow::Result<()> {
    let cluster = Cluster::start("life", 1, 2)?;
    let manager = cluster.founder();
    manager.weft_ok(&["network", "create", "demo"])?;
    whoami(&cluster, "web", "demo", 2, Some("8000:8000"))?;
    manager.weft_ok(&["service", "scale", "web=4"])?;
    assert_eq!(cluster.running("web")?.len(), 4);
    manager.weft_ok(&["service", "scale", "web=2"])?;
    assert_eq!(cluster.running("web")?.len(), 2);

    manager.weft_ok(&["service", "update", "web", "--env-add", "COLOUR=blue"])?;
    for (task, _) in cluster.wait_running("web", 2)? {
        let env = cluster.in_task_ok(&task, &["cat", "/proc/1/environ"])?;
        assert!(env.contains("COLOUR=blue"), "{task}: {env:?}");
    }

    let drained = cluster.workers[0].name().to_owned();
    manager.weft_ok(&["node", "update", "--availability", "drain", &drained])?;
    cluster.wait("the drained node to be empty", || {
        let tasks = cluster.running("web").ok()?;
        (tasks.len() == 2 && tasks.iter().all(|(_, node)| *node != drained)).then_some(())
    })?;

    cluster.wait_answers(cluster.nodes(), 8000)?;
    cluster.wait("the requests in the log", || {
        let logs = manager.weft_ok(&["service", "logs", "web"]).ok()?;
        (logs.contains("web.") && logs.contains("GET /")).then_some(())
    })?;
    manager.weft_ok(&["service", "rm", "web"])?;
    manager.weft_ok(&["network", "rm", "demo"])?;
    let left = manager.weft_json(&["service", "ls", "--format", "json"])?;
    assert_eq!(left, serde_json::json!([]));
    cluster.down()
}
