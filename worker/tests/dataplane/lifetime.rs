//! What stays over a restart of the daemon, and what is left at the end.

use crate::traffic::ask;
use crate::traffic::connect;
use crate::traffic::oracle;
use crate::traffic::serve;
use crate::world::World;
use crate::world::ip;
use crate::world::placed;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;
use weft_kernel::netns::Netns;
use weft_worker::dataplane::Network;
use weft_worker::dataplane::Round;

async fn world() -> World {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2"), (2, "10.5.2.2")]),
        placed("web.1", 2, &[(1, "10.5.1.3")]),
        placed("web.2", 1, &[(1, "10.5.1.4")]),
    ];
    let services = vec![("web", 1, Some("10.5.1.101"))];
    let mut world = World::new(tasks, services).await;
    world.reconcile().await;
    for name in ["web.1", "web.2"] {
        serve(&world.netns(name), name);
    }
    world
}

/// Everything the kernel says about a node's networks, counters left out.
fn picture(world: &World) -> String {
    let mut all = String::new();
    let spaces = [
        world.host(1),
        world.network_netns(1, 1),
        world.network_netns(1, 2),
        world.netns("ask.1"),
        world.netns("web.2"),
    ];
    for netns in &spaces {
        all += &oracle(netns, "bridge", &["-d", "link"]);
        all += &oracle(netns, "ip", &["addr"]);
        all += &oracle(netns, "ip", &["route"]);
        all += &oracle(netns, "bridge", &["fdb"]);
        let neighbours = oracle(netns, "ip", &["neigh", "show", "nud", "permanent"]);
        all += &neighbours;
        // Handles would tell of anything that was made anew.
        all += &oracle(netns, "nft", &["-a", "list", "ruleset"]);
    }
    // The kernel notices a moment late that a bridge has a port.
    all.replace("NO-CARRIER,", "")
        .replace("state DOWN", "state UP")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_daemon_takes_over_what_is_there_and_connections_go_on() {
    let mut world = world().await;
    let from = world.netns("ask.1");
    let mut open: Vec<_> = (0..8)
        .map(|_| connect(&from, ip("10.5.1.101")).unwrap())
        .collect();
    let before: Vec<_> = open.iter_mut().map(ask).collect();
    let picture_before = picture(&world);

    let old = world.planes.remove(0);
    drop(old);
    let plane = world.open(1).await;
    world.planes.insert(0, plane);
    // The old resolvers' sockets close when their tasks have ended.
    let end = Instant::now() + Duration::from_secs(10);
    while !works(&reconcile(&mut world).await) {
        assert!(Instant::now() < end);
        tokio::task::yield_now().await;
    }
    let picture_after = picture(&world);
    let lines = |text: &str| text.lines().count();
    assert_eq!(lines(&picture_before), lines(&picture_after));
    let changed: Vec<_> = picture_before
        .lines()
        .zip(picture_after.lines())
        .filter(|(before, after)| before != after)
        .collect();
    assert_eq!(changed, []);
    let after: Vec<_> = open.iter_mut().map(ask).collect();
    assert_eq!(before, after);
    assert_eq!(crate::traffic::dig(&from, &["web"]), ["10.5.1.101"]);
}

async fn reconcile(world: &mut World) -> Round {
    let (desired, active) = (world.desired(1), world.active(1));
    world.planes[0].reconcile(&desired, &active).await
}

fn works(round: &Round) -> bool {
    round.problems.is_empty() && round.tasks.values().all(Result::is_ok)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ended_leaves_nothing_and_its_last_network_goes_with_it() {
    let mut world = world().await;
    let (gone, stays) = (world.placed("ask.1").id(), world.placed("web.2").id());
    world.tasks.remove(0);
    world.reconcile().await;
    let left = Netns::list(world.run_dir(1).join("netns")).unwrap();
    let names: Vec<_> = left
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let network = crate::world::network_id(1);
    assert_eq!(names, [format!("net-{network}"), format!("task-{stays}")]);
    let inside = world.network_netns(1, 1);
    let links = oracle(&inside, "ip", &["link"]);
    assert!(!links.contains(&gone.to_string()), "{links}");
    let rules = oracle(&inside, "nft", &["list", "ruleset"]);
    assert!(!rules.contains("10.5.1.2"), "{rules}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_forgotten_while_it_stops_keeps_its_network() {
    let mut world = world().await;
    let mut open = connect(&world.netns("web.2"), ip("10.5.1.3")).unwrap();
    let mut desired = world.desired(1);
    let active = world.active(1);
    // One is forgotten altogether, another one keeps the network known.
    desired.tasks.remove(&world.placed("web.2").id());
    desired
        .endpoints
        .retain(|_, endpoint| endpoint.name != "web.2");
    let round = world.planes[0].reconcile(&desired, &active).await;
    assert!(works(&round), "{round:?}");
    assert_eq!(ask(&mut open), "web.1 10.5.1.4");

    // Also when the daemon that knew of it is gone.
    for (nth, forgotten) in [false, true].into_iter().enumerate() {
        if forgotten {
            desired = weft_worker::desired::Desired::default();
        }
        let plane = world.open(1).await;
        drop(std::mem::replace(&mut world.planes[0], plane));
        let end = Instant::now() + Duration::from_secs(10);
        while !works(&world.planes[0].reconcile(&desired, &active).await) {
            assert!(Instant::now() < end);
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&mut open), "web.1 10.5.1.4", "{nth}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clearing_leaves_no_namespace_and_no_link() {
    let mut world = world().await;
    let host = world.host(1);
    assert_eq!(world.planes[0].clear().await, Vec::<String>::new());
    assert!(
        Netns::list(world.run_dir(1).join("netns"))
            .unwrap()
            .is_empty()
    );
    let links = oracle(&host, "ip", &["-br", "link"]);
    assert_eq!(links.lines().count(), 2, "only lo and the cable: {links}");
    assert_eq!(oracle(&host, "nft", &["list", "ruleset"]), "");
    assert!(!oracle(&host, "ss", &["-Hunl"]).contains(":4789"));
    // The numbers on the wire are free again at once.
    world.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trouble_of_one_task_is_not_that_of_others() {
    let mut world = world().await;
    let mut desired = world.desired(1);
    let ask = world.placed("ask.1").id();
    let other = world.placed("web.2").id();
    let mut lost = desired.tasks[&ask].clone();
    lost.id = weft_proto::TaskId::from_entropy(99);
    lost.addresses.clear();
    desired.tasks.insert(lost.id, lost.clone());
    let active = BTreeSet::from([ask, other, lost.id]);
    let round = world.planes[0].reconcile(&desired, &active).await;
    let problem = round.tasks[&lost.id].clone().unwrap_err();
    assert!(problem.contains("has no address on network"), "{problem}");
    assert!(round.tasks[&ask].is_ok() && round.tasks[&other].is_ok());
}
