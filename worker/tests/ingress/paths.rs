//! Who reaches a published port from where, and whom the task sees.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use weft_proto::spec::Protocol;

use crate::people::PATIENCE;
use crate::people::ask;
use crate::people::call;
use crate::people::call_from;
use crate::people::serve;
use crate::people::to;
use crate::world::A;
use crate::world::B;
use crate::world::C;
use crate::world::CLIENT;
use crate::world::Placed;
use crate::world::World;
use crate::world::ip;

/// A task on B and one on C behind port 8080 of both protocols.
async fn published() -> (World, Placed, Placed) {
    let mut world = World::new();
    let (b, c) = (world.task(B, &[]), world.task(C, &[]));
    world.publish(Protocol::Tcp, 8080, &[&b, &c]);
    world.publish(Protocol::Udp, 8080, &[&b, &c]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    serve(&c.netns, 8000, "c");
    (world, b, c)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_outside_is_seen_with_its_own_address_and_port_whichever_node_it_calls() {
    let (world, ..) = published().await;
    for host in &world.hosts {
        for _ in 0..8 {
            let mut talk = call(&world.client, to(host.ip, 8080)).unwrap();
            assert_eq!(talk.seen, talk.local, "through {}", host.ip);
            assert_eq!(talk.seen.ip().to_string(), CLIENT);
            assert!(talk.alive("word"));
            let (_, seen) = ask(&world.client, to(host.ip, 8080), PATIENCE).unwrap();
            assert_eq!(seen.ip().to_string(), CLIENT, "through {}", host.ip);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reaches_the_port_at_its_own_address_at_loopback_and_at_another_node() {
    let (world, ..) = published().await;
    let (node, other) = (&world.hosts[A], &world.hosts[C]);
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    for (at, seen) in [
        (IpAddr::from(node.ip), node.ip),
        (loopback, node.slice.host()),
        (other.ip.into(), node.ip),
    ] {
        for _ in 0..6 {
            let talk = call(&node.netns, to(at, 8080)).unwrap();
            assert_eq!(talk.seen.ip(), IpAddr::from(seen), "{at}");
            let (_, answered) = ask(&node.netns, to(at, 8080), PATIENCE).unwrap();
            assert_eq!(answered.ip(), IpAddr::from(seen), "{at}");
        }
    }
    // The node that has a task itself, too.
    for _ in 0..6 {
        let talk = call(&world.hosts[B].netns, to(loopback, 8080)).unwrap();
        assert_eq!(talk.seen.ip(), IpAddr::from(world.hosts[B].slice.host()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_reaches_the_port_at_its_own_node_and_at_another() {
    let (world, b, _) = published().await;
    for (host, seen) in [
        (B, world.hosts[B].slice.host()),
        (A, world.hosts[B].ip),
        (C, world.hosts[B].ip),
    ] {
        for _ in 0..6 {
            let talk = call(&b.netns, to(world.hosts[host].ip, 8080)).unwrap();
            assert_eq!(talk.seen.ip(), IpAddr::from(seen), "host {host}");
        }
    }
}

/// Without a zone per origin the task would see one connection three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_port_may_reach_one_task_through_three_nodes_at_once() {
    let mut world = World::new();
    let b = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[&b]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    let through = |host: usize| call_from(&world.client, 33333, to(world.hosts[host].ip, 8080));
    let mut talks: Vec<_> = [A, B, C].map(|host| through(host).unwrap()).into();
    for round in 0..20 {
        for (at, talk) in talks.iter_mut().enumerate() {
            assert_eq!(talk.local.port(), 33333);
            assert_eq!(talk.seen.ip().to_string(), CLIENT);
            assert!(talk.alive(&format!("{round} through {at}")));
        }
    }
    let ports: std::collections::BTreeSet<_> = talks.iter().map(|talk| talk.seen.port()).collect();
    assert_eq!(ports.len(), 3, "{ports:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_may_have_ipv6_between_them() {
    let mut world = World::over_v6();
    let b = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[&b]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    let talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    assert_eq!(talk.seen, talk.local);
    let mtu = ip(&b.netns, "link show ext0");
    assert!(mtu.contains("mtu 1430"), "{mtu}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_udp_answers_arrive_whole() {
    let (world, b, _) = published().await;
    let socket = std::net::UdpSocket::bind;
    let server = b.netns.run_in(|| socket("0.0.0.0:8001").unwrap()).unwrap();
    let mut world = world;
    let port = weft_proto::assignment::Backend {
        task: b.id,
        addr: b.addr,
        port: 8001,
    };
    world.publish(Protocol::Udp, 8081, &[]);
    let record = world.desired.published.get_mut(&(Protocol::Udp, 8081));
    record.unwrap().backends = vec![port];
    world.settle().await;
    std::thread::spawn(move || {
        let mut buffer = vec![0; 10_000];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let client = world.client.run_in(|| socket("0.0.0.0:0").unwrap());
    let client = client.unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(to(world.hosts[A].ip, 8081)).unwrap();
    for size in [1000, 1400, 3000, 9000] {
        let mut buffer = vec![0; 10_000];
        client.send(&vec![7; size]).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), size);
    }
}
