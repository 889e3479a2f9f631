//! Two nodes, one overlay network, one task on each: everything made with this crate, looked at with
//! other programs.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod world;

use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;

use bed::CEILING;
use bed::alias;
use bed::fragments;
use bed::ip;
use bed::mac;
use bed::name;
use bed::oracle;
use weft_kernel::netlink::FdbEntry;
use weft_kernel::netlink::FdbVia;
use weft_kernel::netlink::Mac;
use weft_kernel::netlink::PortFlags;
use weft_kernel::netlink::Vni;
use weft_kernel::netlink::VxlanSpec;
use weft_kernel::netns::Netns;
use world::Node;
use world::Overlay;

fn udp(netns: &Netns, at: IpAddr) -> UdpSocket {
    let socket = netns.run_in(|| UdpSocket::bind((at, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(CEILING)).unwrap();
    socket
}

fn udp_passes(from: &Node, to: &Node, at: fn(&Node) -> IpAddr, length: usize) {
    let sender = udp(from.task.netns(), at(from));
    let receiver = udp(to.task.netns(), at(to));
    sender
        .send_to(&vec![7; length], receiver.local_addr().unwrap())
        .unwrap();
    let mut buffer = vec![0; length + 1];
    let (received, source) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!((received, source.ip()), (length, at(from)));
}

fn tcp_passes(from: &Node, to: &Node, at: fn(&Node) -> IpAddr) {
    let listener = to
        .task
        .netns()
        .run_in(|| TcpListener::bind((at(to), 0)))
        .unwrap()
        .unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let sender = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let connect = || TcpStream::connect_timeout(&address, CEILING);
            let mut stream = from.task.netns().run_in(connect).unwrap().unwrap();
            stream.write_all(&vec![1; 1 << 20]).unwrap();
            stream.local_addr().unwrap()
        });
        let (mut stream, peer) = listener.accept().unwrap();
        stream.set_read_timeout(Some(CEILING)).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 1 << 20);
        assert_eq!(sender.join().unwrap(), peer);
        peer
    });
    assert_eq!(sender.ip(), at(from));
}

async fn tasks_reach_each_other(underlays: [&str; 2], mtu: u32) {
    let overlay = Overlay::new(underlays, mtu).await;
    let [a, b] = &overlay.nodes;
    for at in [|node: &Node| node.task4, |node: &Node| node.task6] {
        udp_passes(a, b, at, 100);
        udp_passes(b, a, at, 100);
        tcp_passes(a, b, at);
    }

    // The largest packet passes whole: nobody on the way had to cut it. One byte more is cut at once.
    let largest = usize::try_from(mtu).unwrap() - 28;
    udp_passes(a, b, |node| node.task4, largest);
    assert_eq!(
        (fragments(a.task.netns()), fragments(a.host.netns())),
        (0, 0)
    );
    udp_passes(a, b, |node| node.task4, largest + 1);
    assert_eq!(fragments(a.task.netns()), 2);
    assert_eq!(fragments(a.host.netns()), 0);
}

#[tokio::test]
async fn tasks_on_two_nodes_reach_each_other_over_an_ipv4_underlay() {
    tasks_reach_each_other(["192.168.50.1", "192.168.50.2"], 1450).await;
}

#[tokio::test]
async fn tasks_on_two_nodes_reach_each_other_over_an_ipv6_underlay() {
    tasks_reach_each_other(["fd50::1", "fd50::2"], 1430).await;
}

#[tokio::test]
async fn the_kernel_and_its_own_tools_agree_on_every_flag() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    let node = &overlay.nodes[0];
    let netns = node.net.netns();

    let vxlan = oracle(netns, "ip", &["-d", "link", "show", "vx7"]);
    for part in [
        "vxlan id 7 local 192.168.50.1 ",
        " dstport 4789 ",
        " nolearning ",
        " ttl 64 ",
    ] {
        assert!(vxlan.contains(part), "`{part}` is not in: {vxlan}");
    }
    for part in [
        "mtu 1450",
        "master br0",
        "alias weft:net-7",
        "udpcsum",
        "addrgenmode none",
    ] {
        assert!(vxlan.contains(part), "`{part}` is not in: {vxlan}");
    }
    let remote = oracle(netns, "bridge", &["-d", "link", "show", "dev", "vx7"]);
    for part in [
        "learning off",
        "flood off",
        "mcast_flood off",
        "bcast_flood off",
    ] {
        assert!(remote.contains(part), "`{part}` is not in: {remote}");
    }
    assert!(remote.contains("neigh_suppress on"), "{remote}");
    assert!(!remote.contains("flood on"), "{remote}");
    let local = oracle(netns, "bridge", &["-d", "link", "show", "dev", "p1"]);
    for part in [
        "learning off",
        " flood off",
        "bcast_flood on",
        "neigh_suppress off",
    ] {
        assert!(local.contains(part), "`{part}` is not in: {local}");
    }
    let bridge = oracle(netns, "ip", &["-d", "link", "show", "br0"]);
    assert!(bridge.contains("mcast_snooping 0"), "{bridge}");

    let entries = oracle(netns, "bridge", &["fdb", "show"]);
    for line in [
        "02:00:0a:05:00:02 dev p1 master br0 static",
        "02:00:0a:05:00:03 dev vx7 master br0 static",
        "02:00:0a:05:00:03 dev vx7 dst 192.168.50.2 ",
    ] {
        assert!(entries.contains(line), "`{line}` is not in: {entries}");
    }
    let neighbours = oracle(netns, "ip", &["neigh", "show", "dev", "br0"]);
    for line in [
        "10.5.0.3 lladdr 02:00:0a:05:00:03 PERMANENT",
        "fd05::3 lladdr 02:00:0a:05:00:03",
    ] {
        assert!(
            neighbours.contains(line),
            "`{line}` is not in: {neighbours}"
        );
    }

    let seen = node.net.link(&name("vx7")).await.unwrap().unwrap();
    assert_eq!(seen.port, Some(PortFlags::REMOTE));
    assert_eq!(seen.purpose(), Some("net-7"));
    let listed = node
        .net
        .device(&name("vx7"))
        .await
        .unwrap()
        .forwarding()
        .await
        .unwrap();
    let remote = mac("02:00:0a:05:00:03");
    for via in [FdbVia::Tunnel(ip("192.168.50.2")), FdbVia::Port] {
        assert!(
            listed.contains(&FdbEntry { mac: remote, via }),
            "{listed:?}"
        );
    }

    // The socket of the outer packets is in the host's namespace and nowhere else.
    let sockets = |netns| oracle(netns, "ss", &["-Hunl"]);
    assert!(sockets(node.host.netns()).contains(":4789"));
    assert!(!sockets(netns).contains(":4789"));
}

#[tokio::test]
async fn lookups_are_answered_locally_and_nothing_is_flooded_to_other_nodes() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    let [a, b] = &overlay.nodes;
    let before = overlay.sent_by_tunnel().await;

    // An unknown neighbour: the question reaches the bridge and stays there.
    let heard = async || {
        a.net
            .link(&name("p1"))
            .await
            .unwrap()
            .unwrap()
            .counters
            .rx_packets
    };
    let (sender, quiet) = (udp(a.task.netns(), a.task4), heard().await);
    sender
        .send_to(b"?", "10.5.0.99:9".parse::<SocketAddr>().unwrap())
        .unwrap();
    let asked = async {
        while heard().await == quiet {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(CEILING, asked).await.unwrap();
    assert_eq!(overlay.sent_by_tunnel().await, before);

    // A known one: five datagrams are five frames; no lookup crossed.
    for _ in 0..5 {
        udp_passes(a, b, |node| node.task4, 100);
    }
    assert_eq!(overlay.sent_by_tunnel().await, before + 5);
}

#[tokio::test]
async fn applying_everything_twice_changes_nothing() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    let settled = async {
        // Operational states and MACs of bridges settle a moment after the last change.
        let mut last = overlay.snapshot().await;
        loop {
            tokio::task::yield_now().await;
            let next = overlay.snapshot().await;
            if next == last {
                return next;
            }
            last = next;
        }
    };
    let first = tokio::time::timeout(CEILING, settled).await.unwrap();
    overlay.apply().await;
    assert_eq!(overlay.snapshot().await, first);
}

#[tokio::test]
async fn a_remote_endpoint_that_moves_is_replaced_and_one_that_goes_leaves_nothing() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    let [a, b] = &overlay.nodes;
    let vxlan = a.net.device(&name("vx7")).await.unwrap();
    let bridge = a.net.device(&name("br0")).await.unwrap();
    let moved = ip("192.168.50.9");
    vxlan.set_tunnel_entry(b.task_mac, moved).await.unwrap();
    let entries = vxlan.forwarding().await.unwrap();
    let tunnels: Vec<_> = entries
        .iter()
        .filter(|e| matches!(e.via, FdbVia::Tunnel(_)))
        .collect();
    assert_eq!(
        tunnels,
        [&FdbEntry {
            mac: b.task_mac,
            via: FdbVia::Tunnel(moved)
        }]
    );

    for _ in 0..2 {
        vxlan.delete_tunnel_entry(b.task_mac).await.unwrap();
        vxlan.delete_port_entry(b.task_mac).await.unwrap();
        bridge.delete_neighbour(b.task4).await.unwrap();
        bridge.delete_neighbour(b.task6).await.unwrap();
    }
    let entries = vxlan.forwarding().await.unwrap();
    assert!(
        entries.iter().all(|entry| entry.mac != b.task_mac),
        "{entries:?}"
    );
    assert_eq!(bridge.neighbours().await.unwrap(), []);
}

#[tokio::test]
async fn deleting_everything_leaves_only_loopback() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    for node in &overlay.nodes {
        for _ in 0..2 {
            for link in ["p1", "vx7", "br0"] {
                node.net.delete_link(&name(link)).await.unwrap();
            }
            node.host.delete_link(&name("eth0")).await.unwrap();
        }
        for netlink in [&node.host, &node.net, &node.task] {
            let left: Vec<_> = netlink
                .links()
                .await
                .unwrap()
                .into_iter()
                .map(|link| link.name)
                .collect();
            assert_eq!(left, [name("lo")]);
        }
    }
    let paths = Netns::list(overlay.bed.path("")).unwrap();
    assert_eq!(paths.len(), 6);
    for path in &paths {
        Netns::delete(path).unwrap();
        Netns::delete(path).unwrap();
    }
    assert_eq!(
        Netns::list(overlay.bed.path("")).unwrap(),
        Vec::<std::path::PathBuf>::new()
    );
    assert!(paths.iter().all(|path| !path.exists()));
}

#[tokio::test]
async fn a_link_of_the_same_name_but_another_shape_is_a_conflict() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    let node = &overlay.nodes[0];
    let other = VxlanSpec {
        name: name("vx7"),
        alias: alias("net-8"),
        vni: Vni::new(8).unwrap(),
        local: node.underlay,
        port: 4789,
        mtu: 1450,
        mac: None,
    };
    let refused = node.host.ensure_vxlan(&other, &node.net).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused:?}");

    // A pair of which one end has another partner.
    let (port, stranger) = (bed::end("p1"), bed::end("stranger"));
    let refused = node
        .net
        .ensure_veth(&port, &node.host, &stranger)
        .await
        .unwrap_err();
    assert!(refused.is_conflict(), "{refused:?}");
}

#[tokio::test]
async fn a_thousand_remote_endpoints_are_set_and_listed_whole() {
    let overlay = Overlay::new(["192.168.50.1", "192.168.50.2"], 1450).await;
    let node = &overlay.nodes[0];
    let vxlan = node.net.device(&name("vx7")).await.unwrap();
    let bridge = node.net.device(&name("br0")).await.unwrap();
    for number in 0..1000_u16 {
        let [high, low] = number.to_be_bytes();
        let remote = Mac([2, 0, 10, 6, high, low]);
        vxlan
            .set_tunnel_entry(remote, ip("192.168.50.2"))
            .await
            .unwrap();
        vxlan.set_port_entry(remote).await.unwrap();
        bridge
            .set_neighbour(IpAddr::from([10, 6, high, low]), remote)
            .await
            .unwrap();
    }
    let entries = vxlan.forwarding().await.unwrap();
    let tunnels = entries
        .iter()
        .filter(|entry| matches!(entry.via, FdbVia::Tunnel(_)))
        .count();
    let ports = entries
        .iter()
        .filter(|entry| entry.via == FdbVia::Port)
        .count();
    // One more of each, and an IPv6 neighbour, are those of the other node's task.
    assert_eq!((tunnels, ports), (1001, 1001));
    assert_eq!(bridge.neighbours().await.unwrap().len(), 1002);
}
