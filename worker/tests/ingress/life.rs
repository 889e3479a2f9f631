//! The mesh comes, changes, is taken over, and goes.

use std::collections::BTreeMap;

use weft_kernel::netns::Netns;
use weft_proto::spec::Protocol;
use weft_worker::dataplane::IngressPlane;
use weft_worker::desired::Desired;

use crate::people::GIVE_UP;
use crate::people::call;
use crate::people::call_within;
use crate::people::serve;
use crate::people::to;
use crate::world::A;
use crate::world::B;
use crate::world::C;
use crate::world::World;
use crate::world::ip;
use crate::world::oracle;

/// Everything `ip` and `nft` know of a namespace, without counters and lifetimes.
fn dump(netns: &Netns) -> String {
    let questions = [
        "link show",
        "addr show",
        "route show table all",
        "-6 route show table all",
        "rule show",
        "neigh show nud permanent",
    ];
    let mut text: String = questions.map(|question| ip(netns, question)).join("----\n");
    text.push_str(&oracle(netns, "nft", "list ruleset"));
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_leaves_everything_as_it_was() {
    let mut world = World::new();
    let tasks = [world.task(A, &[]), world.task(B, &[])];
    let places = |world: &World| {
        let hosts = world.hosts.iter().map(|host| host.netns.clone());
        let tasks = tasks.iter().map(|task| task.netns.clone());
        hosts.chain(tasks).collect::<Vec<_>>()
    };
    let before: Vec<_> = places(&world).iter().map(dump).collect();
    world.publish(Protocol::Tcp, 8080, &tasks.iter().collect::<Vec<_>>());
    world.settle().await;
    serve(&tasks[0].netns, 8000, "a");
    serve(&tasks[1].netns, 8000, "b");
    call(&world.client, to(world.hosts[C].ip, 8080)).unwrap();
    for host in &mut world.hosts {
        host.ingress.clear().await;
        host.ingress.clear().await;
        assert!(!host.run_dir.join("netns/ingress").exists());
    }
    let after: Vec<_> = places(&world).iter().map(dump).collect();
    assert_eq!(before, after);
    // It also comes back.
    world.settle().await;
    call(&world.client, to(world.hosts[C].ip, 8080)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_without_news_changes_nothing() {
    let mut world = World::new();
    let task = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[&task]);
    world.settle().await;
    // Route and link changes would show in numbers; rules in their handles.
    let everything = |world: &World| {
        let places = [
            world.hosts[B].netns.clone(),
            world.inner(B),
            task.netns.clone(),
        ];
        places.map(|netns| dump(&netns) + &oracle(&netns, "nft", "-a list ruleset"))
    };
    let before = everything(&world);
    world.settle().await;
    world.restart(B);
    world.settle().await;
    assert_eq!(before, everything(&world));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_daemon_takes_over_what_is_there_and_connections_live_on() {
    let mut world = World::new();
    let (a, b) = (world.task(A, &[]), world.task(B, &[]));
    world.publish(Protocol::Tcp, 8080, &[&b]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    serve(&a.netns, 8000, "a");
    let mut talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    for host in [A, B, C] {
        world.restart(host);
    }
    assert!(talk.alive("nobody looks after it"));
    // Meanwhile the cluster went on.
    world.publish(Protocol::Tcp, 8080, &[&a]);
    world.publish(Protocol::Tcp, 8081, &[&b]);
    world.settle().await;
    assert!(talk.alive("somebody does"));
    let answer = |port| call(&world.client, to(world.hosts[C].ip, port)).unwrap();
    assert_eq!(answer(8080).server, "a");
    assert_eq!(answer(8081).server, "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_broke_is_mended_in_the_next_round() {
    let mut world = World::new();
    let task = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[&task]);
    world.settle().await;
    serve(&task.netns, 8000, "b");
    let mut talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    for host in [A, B] {
        oracle(&world.hosts[host].netns, "nft", "flush ruleset");
        ip(&world.hosts[host].netns, "route flush dev weft0");
        oracle(&world.inner(host), "nft", "flush ruleset");
        ip(&world.inner(host), "neigh flush dev vxi nud permanent");
        ip(&world.inner(host), "route flush dev vxi");
    }
    ip(&world.inner(B), "link set t10 down");
    world.settle().await;
    assert!(talk.alive("mended"));
    assert!(call(&world.client, to(world.hosts[A].ip, 8080)).is_ok());
    ip(&world.inner(B), "link del t10");
    ip(&world.hosts[A].netns, "link del weft0");
    world.settle().await;
    assert!(call(&world.client, to(world.hosts[A].ip, 8080)).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tasks_interface_goes_with_it_and_another_task_may_have_its_address() {
    let mut world = World::new();
    let first = world.task(B, &[]);
    world.settle().await;
    assert!(ip(&first.netns, "link show").contains("ext0"));
    world.hosts[B].tasks.clear();
    let second = world.task(B, &[]);
    assert_eq!(first.addr, second.addr);
    world.publish(Protocol::Tcp, 8080, &[&second]);
    world.settle().await;
    assert!(!ip(&first.netns, "link show").contains("ext0"));
    serve(&second.netns, 8000, "second");
    let talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    assert_eq!(talk.server, "second");
    world.hosts[B].tasks.clear();
    world.settle().await;
    assert!(!ip(&world.inner(B), "link show").contains("t10"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_left_is_forgotten() {
    let mut world = World::new();
    world.settle().await;
    let gone = world.hosts[C].id;
    world.desired.peers.remove(&gone);
    let mut left = world.hosts.pop().unwrap();
    left.ingress.clear().await;
    world.settle().await;
    for host in [A, B] {
        let inner = world.inner(host);
        let all = dump(&inner) + &oracle(&inner, "bridge", "fdb show");
        assert!(!all.contains("10.255.3."), "{all}");
        assert!(!all.contains("02:ff:00:00:00:03"), "{all}");
        assert!(!all.contains("192.0.2.3"), "{all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_get_another_number() {
    let mut world = World::new();
    let task = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[&task]);
    world.settle().await;
    serve(&task.netns, 8000, "b");
    let id = world.hosts[A].id;
    world.desired.peers.get_mut(&id).unwrap().number = 77.try_into().unwrap();
    world.settle().await;
    let addresses = ip(&world.hosts[A].netns, "addr show dev weft0");
    assert!(addresses.contains("10.255.77.254"), "{addresses}");
    assert!(!addresses.contains("10.255.1.254"), "{addresses}");
    let talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    assert_eq!(talk.seen, talk.local);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_number_tasks_are_told_why_they_have_to_wait() {
    let mut world = World::new();
    let task = world.task(B, &[]);
    let tasks = world.hosts[B].tasks.clone();
    let mut desired = world.desired.clone();
    desired.peers.clear();
    let host = &mut world.hosts[B];
    let problems = host.ingress.reconcile(&desired, &tasks).await;
    assert!(problems[&task.id].contains("number"), "{problems:?}");
    let nobody = host
        .ingress
        .reconcile(&Desired::default(), &BTreeMap::new())
        .await;
    assert!(nobody.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_another_nodes_slice_is_refused_to_a_task_alone() {
    let mut world = World::new();
    let (wrong, right) = (world.task(B, &[]), world.task(B, &[]));
    let other = world.hosts[C].slice.at(10);
    world.desired.tasks.get_mut(&wrong.id).unwrap().ingress_addr = Some(other);
    world.publish(Protocol::Tcp, 8080, &[&right]);
    for at in [A, B] {
        let host = &mut world.hosts[at];
        let problems = host.ingress.reconcile(&world.desired, &host.tasks).await;
        let told: Vec<_> = problems.keys().collect();
        assert_eq!(told, if at == B { vec![&wrong.id] } else { vec![] });
    }
    serve(&right.netns, 8000, "right");
    assert!(call(&world.client, to(world.hosts[A].ip, 8080)).is_ok());
    let nowhere = call_within(&world.client, to(world.hosts[A].ip, 8081), GIVE_UP);
    assert!(nowhere.is_err());
}
