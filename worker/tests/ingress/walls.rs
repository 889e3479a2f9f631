//! What tasks and strangers must not reach, and what tasks may.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use weft_kernel::netns::Netns;
use weft_proto::spec::Protocol;

use crate::people::GIVE_UP;
use crate::people::PATIENCE;
use crate::people::ask;
use crate::people::call;
use crate::people::call_within;
use crate::people::serve;
use crate::people::to;
use crate::world::A;
use crate::world::B;
use crate::world::C;
use crate::world::CLIENT;
use crate::world::World;
use crate::world::ip;
use crate::world::oracle;
use crate::world::write_sysctl;

fn client() -> IpAddr {
    CLIENT.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_reaches_the_outside_with_its_nodes_address() {
    let mut world = World::new();
    let open = world.network(1, false);
    let (alone, attached) = (world.task(B, &[]), world.task(B, &[open]));
    world.settle().await;
    serve(&world.client, 80, "outside");
    for task in [alone, attached] {
        let mut talk = call(&task.netns, to(client(), 80)).unwrap();
        assert_eq!(talk.seen.ip(), IpAddr::from(world.hosts[B].ip));
        assert!(talk.alive("out there"));
        let (_, seen) = ask(&task.netns, to(client(), 80), PATIENCE).unwrap();
        assert_eq!(seen.ip(), IpAddr::from(world.hosts[B].ip));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_on_internal_networks_only_has_no_outside_but_can_be_published() {
    let mut world = World::new();
    let internal = world.network(1, true);
    let task = world.task(B, &[internal]);
    world.publish(Protocol::Tcp, 8080, &[&task]);
    world.settle().await;
    serve(&world.client, 80, "outside");
    serve(&task.netns, 8000, "b");
    let refused = call(&task.netns, to(client(), 80)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(ask(&task.netns, to(client(), 80), GIVE_UP).is_err());
    let talk = call(&world.client, to(world.hosts[A].ip, 8080)).unwrap();
    assert_eq!(talk.seen, talk.local);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_reaches_no_other_port_of_a_node_and_no_other_task() {
    let mut world = World::new();
    let (one, two, far) = (world.task(B, &[]), world.task(B, &[]), world.task(C, &[]));
    world.publish(Protocol::Tcp, 8080, &[&two]);
    world.settle().await;
    ip(&world.hosts[B].netns, "addr add 198.51.100.1/24 dev eth0");
    world.settle().await;
    // This one the mesh has not heard of yet.
    ip(&world.hosts[B].netns, "addr add 203.0.113.1/24 dev eth0");
    for netns in [&world.hosts[B].netns, &world.hosts[C].netns, &world.client] {
        serve(netns, 22, "ssh");
    }
    for task in [&two, &far] {
        serve(&task.netns, 8000, "task");
    }
    let walls = [
        to(world.hosts[B].ip, 22),
        to("198.51.100.1".parse::<IpAddr>().unwrap(), 22),
        to("203.0.113.1".parse::<IpAddr>().unwrap(), 22),
        to(world.hosts[C].ip, 22),
        to(world.hosts[B].slice.host(), 22),
        to(world.hosts[B].slice.router(), 22),
        to(two.addr, 8000),
        to(far.addr, 8000),
    ];
    for at in walls {
        assert!(call_within(&one.netns, at, GIVE_UP).is_err(), "tcp {at}");
        assert!(ask(&one.netns, at, GIVE_UP / 3).is_err(), "udp {at}");
    }
    // The ways that are open, so that the walls above are no accident.
    assert_eq!(call(&one.netns, to(client(), 22)).unwrap().server, "ssh");
    let talk = call(&one.netns, to(world.hosts[C].ip, 8080)).unwrap();
    assert_eq!(talk.server, "task");
}

/// With the node's masquerade the frames would look like those of a member node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_cannot_send_vxlan_to_another_node() {
    let mut world = World::new();
    let task = world.task(B, &[]);
    world.settle().await;
    let other = &world.hosts[A].netns;
    // An address that the cluster does not know.
    ip(other, "addr add 192.0.2.101/24 dev eth0");
    let script = world.hosts[A].run_dir.join("spy.nft");
    let text = "table inet spy {\n chain c {\n type filter hook prerouting priority -400\n udp dport 4789 counter\n udp dport 4790 counter\n }\n}\n";
    std::fs::write(&script, text).unwrap();
    oracle(other, "nft", &format!("-f {}", script.display()));
    let socket = || UdpSocket::bind("0.0.0.0:0").unwrap();
    let socket = task.netns.run_in(socket).unwrap();
    for at in ["192.0.2.1:4789", "192.0.2.101:4789"] {
        for _ in 0..5 {
            _ = socket.send_to(&[0; 60], at);
        }
    }
    // Later than those, by the same way: when it has arrived, they are lost.
    socket.send_to(&[0; 60], "192.0.2.101:4790").unwrap();
    let spied = || oracle(other, "nft", "list table inet spy");
    let begun = Instant::now();
    while !spied().contains("udp dport 4790 counter packets 1") {
        assert!(begun.elapsed() < PATIENCE, "{}", spied());
        sleep(Duration::from_millis(10));
    }
    let spied = spied();
    assert!(
        spied.contains("udp dport 4789 counter packets 0"),
        "{spied}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_lies_about_its_address_is_not_heard() {
    let mut world = World::new();
    let (one, two) = (world.task(B, &[]), world.task(B, &[]));
    world.settle().await;
    serve(&world.client, 80, "outside");
    ip(&one.netns, &format!("addr add {}/32 dev lo", two.addr));
    let lie = format!("{}:0", two.addr);
    let socket = || UdpSocket::bind(lie.as_str()).unwrap();
    let socket = one.netns.run_in(socket).unwrap();
    socket.send_to(b"lie", to(client(), 80)).unwrap();
    let (_, seen) = ask(&one.netns, to(client(), 80), PATIENCE).unwrap();
    assert_eq!(seen.ip(), IpAddr::from(world.hosts[B].ip));
    assert!(!listening(&world.hosts[B].netns).contains(&two.addr.to_string()));
}

fn listening(host: &Netns) -> String {
    oracle(host, "conntrack", "-L")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_takes_a_node_for_a_router_reaches_no_task() {
    let mut world = World::new();
    let task = world.task(B, &[]);
    world.publish(Protocol::Tcp, 8080, &[&task]);
    world.settle().await;
    serve(&task.netns, 8000, "b");
    write_sysctl(&world.client, "net/ipv4/conf/all/rp_filter", "0");
    let route = format!("route add 10.255.0.0/16 via {}", world.hosts[B].ip);
    ip(&world.client, &route);
    let direct = call_within(&world.client, to(task.addr, 8000), GIVE_UP);
    assert!(direct.is_err());
    assert!(call(&world.client, to(world.hosts[B].ip, 8080)).is_ok());
    assert!(call(&world.client, to(world.hosts[A].ip, 8080)).is_ok());
}
