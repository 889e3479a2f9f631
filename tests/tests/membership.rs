//! Machines come and go.

use weft_rig::contract;
use weft_tests::Cluster;

#[test]
fn managers_and_workers_leave_and_may_come_back() -> anyhow::Result<()> {
    let cluster = Cluster::start("leave", 2, 1)?;
    let (stays, leaves, worker) = (cluster.founder(), &cluster.managers[1], &cluster.workers[0]);
    stays.weft_ok(&["network", "create", "demo"])?;
    stays.weft_ok(&[
        "service",
        "create",
        "--name",
        "web",
        "--network",
        "demo",
        "--replicas",
        "3",
        "--",
        "sleep",
        "1000",
    ])?;

    // Of two managers one leaves: the other goes on alone, which needs both to agree first.
    leaves.weft_ok(&["cluster", "leave"])?;
    stays.weft_ok(&["network", "create", "alone"])?;
    cluster.wait_for_voters(1)?;
    worker.weft_ok(&["cluster", "leave"])?;
    cluster.wait("all tasks on the node that stays", || {
        let tasks = cluster.running("web").ok()?;
        (tasks.len() == 3 && tasks.iter().all(|(_, node)| node == stays.name())).then_some(())
    })?;

    // The last one leaves only if that is meant.
    let refused = stays.weft(&["cluster", "leave"])?;
    assert!(
        !refused.success() && refused.stderr.contains("--force"),
        "{}",
        refused.stderr
    );

    for (role, host) in [("manager", leaves), ("worker", worker)] {
        let token = stays.weft_ok(&contract::join_token(role))?;
        let (manager, own) = (stays.addr().to_string(), host.addr().to_string());
        host.weft_ok(&contract::join(token.trim(), &manager, &own))?;
    }
    cluster.wait_for_nodes(3)?;
    cluster.wait_for_voters(2)?;
    stays.weft_ok(&["service", "scale", "web=6"])?;
    let nodes = cluster
        .wait_running("web", 6)?
        .into_iter()
        .map(|(_, node)| node);
    assert_eq!(
        weft_tests::distinct(nodes).len(),
        3,
        "the returned nodes get tasks"
    );
    cluster.down()
}

#[test]
fn a_removed_node_is_no_member_any_more() -> anyhow::Result<()> {
    let cluster = Cluster::start("removed", 1, 1)?;
    let (manager, worker) = (cluster.founder(), &cluster.workers[0]);
    let refused = manager.weft(&["node", "rm", worker.name()])?;
    assert!(
        !refused.success() && refused.stderr.contains("--force"),
        "{}",
        refused.stderr
    );
    manager.weft_ok(&["node", "rm", "--force", worker.name()])?;
    cluster.wait_for_nodes(1)?;
    let nodes = manager.weft_json(&contract::node_ls())?;
    assert_eq!(contract::rows(&nodes).len(), 1, "{nodes}");
    // Its way back: leave what does not know it any more, and join anew.
    worker.weft_ok(&["cluster", "leave", "--force"])?;
    let token = manager.weft_ok(&contract::join_token("worker"))?;
    let (addr, own) = (manager.addr().to_string(), worker.addr().to_string());
    worker.weft_ok(&contract::join(token.trim(), &addr, &own))?;
    cluster.wait_for_nodes(2)?;
    cluster.down()
}
