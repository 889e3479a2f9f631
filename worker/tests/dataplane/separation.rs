//! Who must not reach whom.

use crate::traffic::ask;
use crate::traffic::connect;
use crate::traffic::connect_within;
use crate::traffic::oracle;
use crate::traffic::serve;
use crate::world::World;
use crate::world::ip;
use crate::world::placed;
use std::net::UdpSocket;
use std::time::Duration;

/// Long enough for a packet that would arrive.
const SHORT: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_networks_do_not_reach_each_other() {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2")]),
        placed("both.1", 1, &[(1, "10.5.1.4"), (2, "10.5.2.4")]),
        placed("web.1", 2, &[(2, "10.5.2.3")]),
        placed("local.1", 1, &[(2, "10.5.2.5")]),
    ];
    let services = vec![("web", 2, Some("10.5.2.100"))];
    let mut world = World::new(tasks, services).await;
    world.reconcile().await;
    for name in ["web.1", "local.1", "both.1"] {
        serve(&world.netns(name), name);
    }
    let both = world.netns("both.1");
    assert_eq!(
        ask(&mut connect(&both, ip("10.5.2.3")).unwrap()),
        "web.1 10.5.2.4"
    );
    assert_eq!(
        ask(&mut connect(&both, ip("10.5.2.100")).unwrap()),
        "web.1 10.5.2.4"
    );
    let from = world.netns("ask.1");
    assert_eq!(
        ask(&mut connect(&from, ip("10.5.1.4")).unwrap()),
        "both.1 10.5.1.2"
    );
    // Not even with a route of its own making, by way of a task on both.
    oracle(
        &from,
        "ip",
        &["route", "add", "10.5.2.0/24", "via", "10.5.1.4"],
    );
    for to in ["10.5.2.3", "10.5.2.5", "10.5.2.100"] {
        connect_within(&from, ip(to), SHORT).unwrap_err();
    }
    let routes = oracle(&both, "ip", &["route"]);
    assert!(!routes.contains("default"), "{routes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_task_sends_under_another_address_arrives_nowhere() {
    let tasks = vec![
        placed("liar.1", 1, &[(1, "10.5.1.2")]),
        placed("near.1", 1, &[(1, "10.5.1.3")]),
        placed("far.1", 2, &[(1, "10.5.1.4")]),
    ];
    let mut world = World::new(tasks, vec![]).await;
    world.reconcile().await;
    let liar = world.netns("liar.1");
    oracle(&liar, "ip", &["addr", "add", "10.5.1.66/24", "dev", "eth0"]);
    let bind = |address: &'static str| liar.run_in(move || UdpSocket::bind((address, 0))).unwrap();
    let (honest, lying) = (bind("10.5.1.2").unwrap(), bind("10.5.1.66").unwrap());
    for (name, at) in [("near.1", "10.5.1.3:7000"), ("far.1", "10.5.1.4:7000")] {
        let receiver = world
            .netns(name)
            .run_in(|| UdpSocket::bind(at))
            .unwrap()
            .unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut buffer = [0; 16];
        for turn in 0..2 {
            honest.send_to(b"true", at).unwrap();
            let received = receiver.recv_from(&mut buffer);
            assert!(
                received.is_ok(),
                "{name}, {turn}: {received:?} {}",
                oracle(&liar, "ip", &["neigh"])
            );
            lying.send_to(b"false", at).unwrap();
        }
        // The lies went first: whoever gets the truth has not got them.
        honest.send_to(b"true", at).unwrap();
        let (_, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!(from, honest.local_addr().unwrap());
        receiver.set_nonblocking(true).unwrap();
        assert!(receiver.recv_from(&mut buffer).is_err());
    }
}
