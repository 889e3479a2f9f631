//! The world around changes: the underlay, the ingress, what others do to what is ours.

use crate::traffic::ask;
use crate::traffic::connect;
use crate::traffic::oracle;
use crate::traffic::serve;
use crate::world::World;
use crate::world::ip;
use crate::world::placed;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use weft_kernel::netns::Netns;
use weft_proto::TaskId;
use weft_worker::dataplane::DataPlane;
use weft_worker::dataplane::IngressPlane;
use weft_worker::dataplane::Network;
use weft_worker::desired::Desired;

async fn world(underlay: &'static str) -> World {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2")]),
        placed("web.1", 2, &[(1, "10.5.1.3")]),
    ];
    let services = vec![("web", 1, Some("10.5.1.101"))];
    let mut world = World::over(underlay, tasks, services).await;
    world.reconcile().await;
    serve(&world.netns("web.1"), "web.1");
    world
}

fn web_answers(world: &World) {
    let mut stream = connect(&world.netns("ask.1"), ip("10.5.1.101")).unwrap();
    assert_eq!(ask(&mut stream), "web.1 10.5.1.2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_may_meet_over_ipv6() {
    let world = world("fd50::").await;
    web_answers(&world);
    let links = oracle(&world.netns("ask.1"), "ip", &["link", "show", "eth0"]);
    assert!(links.contains("mtu 1430"), "{links}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_packet_size_follows_the_underlay() {
    let mut world = world("192.168.50.").await;
    let size = |world: &World| oracle(&world.netns("ask.1"), "ip", &["link", "show", "eth0"]);
    assert!(size(&world).contains("mtu 1450"), "{}", size(&world));
    for node in [1, 2] {
        let host = world.host(node);
        oracle(&host, "ip", &["link", "set", "eth0", "mtu", "9000"]);
    }
    world.reconcile().await;
    assert!(size(&world).contains("mtu 8950"), "{}", size(&world));
    web_answers(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_take_away_is_made_again() {
    let mut world = world("192.168.50.").await;
    let network = world.network_netns(1, 1);
    oracle(&network, "ip", &["link", "del", "vx0"]);
    oracle(&network, "nft", &["flush", "ruleset"]);
    oracle(&world.netns("ask.1"), "ip", &["link", "del", "eth0"]);
    oracle(&world.netns("ask.1"), "nft", &["flush", "ruleset"]);
    for _ in 0..64 {
        world.reconcile().await;
    }
    web_answers(&world);

    let path = world.run_dir(1).join("netns");
    for path in Netns::list(path).unwrap() {
        Netns::delete(path).unwrap();
    }
    drop(network);
    for _ in 0..64 {
        world.reconcile().await;
    }
    web_answers(&world);
}

/// Has a problem with one task, and remembers which it was told.
#[derive(Debug)]
struct Picky {
    dislikes: TaskId,
    told: Arc<Mutex<Vec<TaskId>>>,
}

impl IngressPlane for Picky {
    async fn reconcile(
        &mut self,
        _: &Desired,
        tasks: &BTreeMap<TaskId, Netns>,
    ) -> BTreeMap<TaskId, String> {
        *self.told.lock().unwrap() = tasks.keys().copied().collect();
        BTreeMap::from([(self.dislikes, "no".to_owned())])
    }

    async fn clear(&mut self) {
        self.told.lock().unwrap().clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ingress_is_told_of_all_tasks_and_its_problems_are_the_tasks_problems() {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2")]),
        placed("web.1", 1, &[]),
    ];
    let world = World::new(tasks, vec![]).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let picky = Picky {
        dislikes: world.placed("web.1").id(),
        told: Arc::clone(&told),
    };
    let mut plane = DataPlane::open(world.config(1), picky).await.unwrap();
    let active = world.active(1);
    let round = plane.reconcile(&world.desired(1), &active).await;
    assert_eq!(
        *told.lock().unwrap(),
        active.iter().copied().collect::<Vec<_>>()
    );
    assert!(round.tasks[&world.placed("ask.1").id()].is_ok());
    assert_eq!(
        round.tasks[&world.placed("web.1").id()],
        Err("no".to_owned())
    );
    assert_eq!(plane.clear().await, Vec::<String>::new());
    assert!(told.lock().unwrap().is_empty());
}
