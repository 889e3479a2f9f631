//! Who answers: shares, changes of the backends, ports without any.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::time::Instant;

use weft_proto::spec::Protocol;

use crate::people::GIVE_UP;
use crate::people::PATIENCE;
use crate::people::Talk;
use crate::people::ask;
use crate::people::call;
use crate::people::serve;
use crate::people::to;
use crate::world::A;
use crate::world::B;
use crate::world::C;
use crate::world::Placed;
use crate::world::World;

fn callers(world: &World, count: usize) -> BTreeMap<String, Vec<Talk>> {
    let mut by = BTreeMap::<String, Vec<Talk>>::new();
    for _ in 0..count {
        let talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
        by.entry(talk.server.clone()).or_default().push(talk);
    }
    by
}

fn five(world: &mut World) -> Vec<Placed> {
    let hosts = [A, B, B, C, C];
    hosts.map(|host| world.task(host, &[])).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_spread_over_all_tasks() {
    let mut world = World::new();
    let tasks = five(&mut world);
    world.publish(Protocol::Tcp, 8080, &tasks.iter().collect::<Vec<_>>());
    world.settle().await;
    for (at, task) in tasks.iter().enumerate() {
        serve(&task.netns, 8000, &format!("task{at}"));
    }
    // 300 rather than 100: with 100 fair draws one of five is below 10 of 100 in 3 of 100 runs.
    let shares: Vec<_> = callers(&world, 300).values().map(Vec::len).collect();
    assert_eq!(shares.len(), 5);
    assert!(shares.iter().all(|share| *share >= 30), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_of_a_removed_task_live_on_and_new_ones_go_elsewhere() {
    let mut world = World::new();
    let (b, c) = (world.task(B, &[]), world.task(C, &[]));
    world.publish(Protocol::Tcp, 8080, &[&b, &c]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    serve(&c.netns, 8000, "c");
    let mut before = callers(&world, 40);
    world.publish(Protocol::Tcp, 8080, &[&c]);
    world.settle().await;
    let after = callers(&world, 20);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(before.len(), 2);
    for talk in before.values_mut().flatten() {
        assert!(talk.alive("still there"), "{}", talk.server);
    }
    // And back, by way of another size class.
    world.publish(Protocol::Tcp, 8080, &[&b, &b, &b, &b, &c]);
    world.settle().await;
    assert_eq!(callers(&world, 40).len(), 2);
    for talk in before.values_mut().flatten() {
        assert!(talk.alive("once more"), "{}", talk.server);
    }
}

/// One client socket that never rests, as name servers have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_udp_flow_of_a_removed_task_goes_to_another_with_its_next_packet() {
    let mut world = World::new();
    let (b, c) = (world.task(B, &[]), world.task(C, &[]));
    world.publish(Protocol::Udp, 8080, &[&b]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    serve(&c.netns, 8000, "c");
    let any = (Ipv4Addr::UNSPECIFIED, 0);
    let socket = world.client.run_in(|| UdpSocket::bind(any).unwrap());
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(to(world.hosts[A].ip, 8080)).unwrap();
    let answer = || {
        let mut buffer = [0; 64];
        socket.send(b"?").unwrap();
        let length = socket.recv(&mut buffer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    assert!(answer().unwrap().starts_with("b 192.0.2.9:"));
    // One more changes nothing for it.
    world.publish(Protocol::Udp, 8080, &[&c, &b]);
    world.settle().await;
    assert!(answer().unwrap().starts_with("b 192.0.2.9:"));
    world.publish(Protocol::Udp, 8080, &[&c]);
    world.settle().await;
    assert!(answer().unwrap().starts_with("c 192.0.2.9:"));
    world.publish(Protocol::Udp, 8080, &[]);
    world.settle().await;
    let refused = answer().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_without_tasks_is_refused_at_once_whatever_listens_on_the_host() {
    let mut world = World::new();
    let b = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[]);
    world.publish(Protocol::Udp, 8080, &[]);
    world.settle().await;
    let any = (Ipv4Addr::UNSPECIFIED, 8080);
    let host = &world.hosts[A];
    let _squatter = host.netns.run_in(|| TcpListener::bind(any).unwrap());
    let places = [
        (&world.client, to(host.ip, 8080)),
        (&host.netns, to(host.ip, 8080)),
        (&host.netns, to(Ipv4Addr::LOCALHOST, 8080)),
        (&b.netns, to(host.ip, 8080)),
    ];
    for (from, at) in places {
        let begun = Instant::now();
        let refused = call(from, at).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{at}");
        let refused = ask(from, at, PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{at}");
        assert!(begun.elapsed() < GIVE_UP, "{at}");
    }
    // With a task it answers, although somebody listens; unpublished, the listener has it back.
    world.publish(Protocol::Tcp, 8080, &[&b]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    let at = to(world.hosts[A].ip, 8080);
    assert_eq!(call(&world.client, at).unwrap().server, "b");
    world.desired.published.clear();
    world.settle().await;
    let connect = || std::net::TcpStream::connect_timeout(&at, PATIENCE);
    assert!(world.client.run_in(connect).unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_nodes_need_themselves_cannot_be_taken() {
    let mut world = World::new();
    let b = world.task(B, &[]);
    world.publish(Protocol::Udp, 4789, &[&b]);
    world.publish(Protocol::Tcp, 8080, &[&b]);
    world.settle().await;
    serve(&b.netns, 8000, "b");
    let talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    assert_eq!(talk.server, "b");
}
