//! Published ports, masquerade and the egress rewrite, with real packets between namespaces.

use crate::net::Net;
use crate::rulesets;
use crate::rulesets::v4;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::time::Duration;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Source;
use weft_kernel::nft::Table;
use weft_kernel::nft::Target;
use weft_kernel::nft::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// A client, a host that forwards, and a task behind it at 10.255.7.10.
fn three() -> (Net, Net, Net) {
    let (client, host, task) = (Net::new(), Net::new(), Net::new());
    client.veth("eth0", &host, "eth0");
    host.veth("weft0", &task, "t10");
    client.ip("addr add 192.0.2.9/24 dev eth0");
    host.ip("addr add 192.0.2.1/24 dev eth0");
    host.ip("addr add 10.255.7.254/24 dev weft0");
    task.ip("addr add 10.255.7.10/24 dev t10");
    task.ip("route add default via 10.255.7.254");
    host.sysctl("ipv4/ip_forward", "1");
    host.sysctl("ipv4/conf/weft0/route_localnet", "1");
    (client, host, task)
}

/// Connects, and returns the address the listener sees.
fn seen(from: &Net, to: &str, listener: &TcpListener) -> IpAddr {
    let to: SocketAddr = to.parse().unwrap();
    let _stream = from.run(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap());
    listener.accept().unwrap().1.ip()
}

#[test]
fn published_port_leads_to_another_address_and_port_and_keeps_the_client() {
    let (client, host, task) = three();
    let mut batch = rulesets::mesh();
    batch.add_elements(
        &rulesets::mesh_table(),
        "p4",
        rulesets::publish(8080, v4("10.255.7.10"), 8000),
    );
    host.commit(&batch).unwrap();
    let listener = task.run(|| TcpListener::bind("0.0.0.0:8000").unwrap());
    assert_eq!(seen(&client, "192.0.2.1:8080", &listener), v4("192.0.2.9"));
    assert_eq!(seen(&host, "192.0.2.1:8080", &listener), v4("192.0.2.1"));
    assert_eq!(seen(&host, "127.0.0.1:8080", &listener), v4("10.255.7.254"));
    assert_eq!(
        seen(&task, "10.255.7.254:8080", &listener),
        v4("10.255.7.254")
    );
}

#[test]
fn masquerade_hides_a_tasks_address_from_the_outside() {
    let (client, host, task) = three();
    host.commit(&rulesets::mesh()).unwrap();
    let listener = client.run(|| TcpListener::bind("0.0.0.0:80").unwrap());
    assert_eq!(seen(&task, "192.0.2.9:80", &listener), v4("192.0.2.1"));
}

#[test]
fn egress_writes_the_mac_that_the_mark_stands_for() {
    let (a, b) = (Net::new(), Net::new());
    a.veth("vxi", &b, "eth0");
    a.ip("addr add 10.5.0.1/24 dev vxi");
    b.ip("addr add 10.5.0.2/24 dev eth0");
    // Frames leave for nobody, unless they are rewritten.
    a.ip("neigh add 10.5.0.2 lladdr 02:ff:ff:ff:ff:ff dev vxi nud permanent");
    a.commit(&rulesets::egress("vxi", 0x10007, b.mac("eth0")))
        .unwrap();
    let table = Table::new(Family::Ip, "mark");
    let mut batch = Batch::new();
    let mark = Source::Value(Value::Number(0x10007));
    batch
        .add_table(&table)
        .add_chain(
            &table,
            Chain::base("out", Purpose::Route, Hook::Output, -150),
        )
        .add_rule(
            &table,
            "out",
            [
                Expr::udp(),
                Expr::dport(7001),
                Expr::Write {
                    target: Target::Mark,
                    source: mark,
                },
            ],
        );
    a.commit(&batch).unwrap();
    let sender = a.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    let (marked, unmarked) = b.run(|| {
        (
            UdpSocket::bind("0.0.0.0:7001").unwrap(),
            UdpSocket::bind("0.0.0.0:7002").unwrap(),
        )
    });
    marked.set_read_timeout(Some(PATIENCE)).unwrap();
    // The unmarked one goes first: when the marked one is there, it is lost.
    sender.send_to(b"lost", "10.5.0.2:7002").unwrap();
    sender.send_to(b"here", "10.5.0.2:7001").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(marked.recv(&mut buffer).unwrap(), 4);
    unmarked.set_nonblocking(true).unwrap();
    assert!(unmarked.recv(&mut buffer).is_err());
}

#[test]
fn redirect_leads_to_a_port_of_the_same_host() {
    let (client, host, _task) = three();
    let table = Table::new(Family::Inet, "r");
    let mut batch = Batch::new();
    batch
        .add_table(&table)
        .add_chain(
            &table,
            Chain::base("pre", Purpose::Nat, Hook::Prerouting, -100),
        )
        .add_rule(
            &table,
            "pre",
            [Expr::tcp(), Expr::dport(80), Expr::Redirect(Some(8081))],
        );
    host.commit(&batch).unwrap();
    let listener = host.run(|| TcpListener::bind("0.0.0.0:8081").unwrap());
    assert_eq!(seen(&client, "192.0.2.1:80", &listener), v4("192.0.2.9"));
    assert!(host.listing().contains("tcp dport 80 redirect to :8081"));
}

#[test]
fn zone_and_mark_are_taken_from_the_origins_mac() {
    let (client, host, task) = three();
    // The client's interface plays the mesh: what it sends gets a zone and a mark by its MAC.
    let table = rulesets::mesh_table();
    let mac = Value::Mac(client.mac("eth0"));
    host.ip("link set eth0 down");
    host.ip("link set eth0 name vxi");
    host.ip("link set vxi up");
    let mut batch = rulesets::origin();
    let counted = [
        Expr::is(Field::CtMark, Value::Number(0x10009)),
        Expr::Counter,
    ];
    batch
        .add_elements(
            &table,
            "zone",
            [weft_kernel::nft::Element::pair(
                [mac.clone()],
                [Value::Zone(9)],
            )],
        )
        .add_elements(
            &table,
            "omark",
            [weft_kernel::nft::Element::pair(
                [mac],
                [Value::Number(0x10009)],
            )],
        )
        .add_chain(
            &table,
            Chain::base("seen", Purpose::Filter, Hook::Forward, 0),
        )
        .add_rule(
            &table,
            "seen",
            [
                Expr::iifname_not("vxi"),
                Expr::is(Field::Mark, Value::Number(0x10009)),
                counted[1].clone(),
            ],
        )
        .add_rule(&table, "seen", counted);
    host.commit(&batch).unwrap();
    client.ip("route add 10.255.7.0/24 via 192.0.2.1");
    let listener = task.run(|| TcpListener::bind("0.0.0.0:8000").unwrap());
    assert_eq!(
        seen(&client, "10.255.7.10:8000", &listener),
        v4("192.0.2.9")
    );
    let listing = host.listing();
    let replies = listing
        .lines()
        .find(|line| line.contains("meta mark 0x00010009"))
        .unwrap();
    let all = listing
        .lines()
        .find(|line| line.trim().starts_with("ct mark 0x00010009"))
        .unwrap();
    for counter in [replies, all] {
        assert!(!counter.contains("packets 0 "), "{counter}");
    }
    let tracked = host.run(|| {
        std::process::Command::new("conntrack")
            .args(["-L", "--orig-zone", "9"])
            .output()
            .unwrap()
    });
    let tracked = String::from_utf8(tracked.stdout).unwrap();
    assert!(tracked.contains("dport=8000"), "{tracked}");
}
