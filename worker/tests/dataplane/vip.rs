//! Virtual addresses across nodes.

use crate::traffic::PATIENCE;
use crate::traffic::PORT;
use crate::traffic::ask;
use crate::traffic::connect;
use crate::traffic::serve;
use crate::world::World;
use crate::world::ip;
use crate::world::placed;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

/// One task that asks on node 1, two that answer on node 2.
async fn world() -> World {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2")]),
        placed("web.1", 2, &[(1, "10.5.1.3")]),
        placed("web.2", 2, &[(1, "10.5.1.4")]),
    ];
    let services = vec![
        ("ask", 1, Some("10.5.1.100")),
        ("web", 1, Some("10.5.1.101")),
        ("none", 1, Some("10.5.1.102")),
    ];
    let mut world = World::new(tasks, services).await;
    world.reconcile().await;
    for name in ["web.1", "web.2"] {
        serve(&world.netns(name), name);
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_spread_over_both_backends_which_see_the_true_caller() {
    let world = world().await;
    let from = world.netns("ask.1");
    let mut counts = BTreeMap::new();
    for _ in 0..100 {
        let answer = ask(&mut connect(&from, ip("10.5.1.101")).unwrap());
        *counts.entry(answer).or_insert(0) += 1;
    }
    let seen: Vec<_> = counts.keys().map(String::as_str).collect();
    assert_eq!(seen, ["web.1 10.5.1.2", "web.2 10.5.1.2"]);
    // 50 each are expected with a deviation of 5: 25 is five deviations off.
    assert!(counts.values().all(|count| *count > 25), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_reaches_its_own_service_others_and_itself() {
    let world = world().await;
    let mut seen = BTreeMap::new();
    for _ in 0..60 {
        let answer = ask(&mut connect(&world.netns("web.1"), ip("10.5.1.101")).unwrap());
        *seen.entry(answer).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_scale_steers_new_connections_and_keeps_open_ones() {
    let mut world = world().await;
    let from = world.netns("ask.1");
    let vip = ip("10.5.1.101");
    let mut open: Vec<_> = (0..20).map(|_| connect(&from, vip).unwrap()).collect();
    let before: Vec<_> = open.iter_mut().map(ask).collect();
    assert!(before.iter().any(|answer| answer.starts_with("web.1")));

    // web.1 takes no new connections, and web.3 comes up.
    world.tasks[1].ready = false;
    world.tasks.push(placed("web.3", 2, &[(1, "10.5.1.5")]));
    world.reconcile().await;
    serve(&world.netns("web.3"), "web.3");
    let new: Vec<_> = (0..30)
        .map(|_| ask(&mut connect(&from, vip).unwrap()))
        .collect();
    assert!(new.iter().all(|answer| !answer.starts_with("web.1")));
    assert!(new.iter().any(|answer| answer.starts_with("web.3")));
    let after: Vec<_> = open.iter_mut().map(ask).collect();
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_leave_a_backend_that_takes_no_new_ones() {
    let mut world = world().await;
    world.tasks[2].ready = false;
    world.reconcile().await;
    let bind = |name: &str, at: &'static str| {
        let bound = world.netns(name).run_in(|| UdpSocket::bind(at));
        let socket = bound.unwrap().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let from = bind("ask.1", "0.0.0.0:0");
    let (one, two) = (bind("web.1", "0.0.0.0:7000"), bind("web.2", "0.0.0.0:7000"));
    let mut buffer = [0; 8];
    from.send_to(b"1", "10.5.1.101:7000").unwrap();
    let (_, caller) = one.recv_from(&mut buffer).unwrap();
    one.send_to(b"1", caller).unwrap();
    from.recv_from(&mut buffer).unwrap();

    world.tasks[1].ready = false;
    world.tasks[2].ready = true;
    world.reconcile().await;
    from.send_to(b"2", "10.5.1.101:7000").unwrap();
    assert_eq!(two.recv_from(&mut buffer).unwrap().1, caller);
    two.send_to(b"2", caller).unwrap();
    let answer = from.recv_from(&mut buffer).unwrap().1;
    assert_eq!(answer.to_string(), "10.5.1.101:7000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_backends_is_refused_at_once() {
    let world = world().await;
    let from = world.netns("ask.1");
    let begun = Instant::now();
    let refused = connect(&from, ip("10.5.1.102")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    let udp = from
        .run_in(|| UdpSocket::bind("0.0.0.0:0"))
        .unwrap()
        .unwrap();
    assert!(udp.send_to(b"?", ("10.5.1.102", PORT)).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipv6_network_works_alike() {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "fd05:1::2")]),
        placed("web.1", 2, &[(1, "fd05:1::3")]),
    ];
    let services = vec![
        ("web", 1, Some("fd05:1::64")),
        ("none", 1, Some("fd05:1::65")),
    ];
    let mut world = World::new(tasks, services)
        .await
        .with_subnets(|n| format!("fd05:{n}::/64"));
    world.reconcile().await;
    serve(&world.netns("web.1"), "web.1");
    let from = world.netns("ask.1");
    for to in ["fd05:1::3", "fd05:1::64"] {
        let answer = ask(&mut connect(&from, ip(to)).unwrap());
        assert_eq!(answer, "web.1 fd05:1::2");
    }
    let refused = connect(&from, ip("fd05:1::65")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
}
