//! Virtual addresses and DNS inside one namespace, with real connections.

use crate::net::Net;
use crate::rulesets;
use crate::rulesets::v4;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Element;
use weft_kernel::nft::Family;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const PORT: u16 = 7000;

/// A task's namespace: an overlay address, and backends that echo and say who they are.
fn task(backends: &[Ipv4Addr]) -> (Net, Net) {
    let (net, wire) = (Net::new(), Net::new());
    net.veth("eth0", &wire, "peer");
    net.ip("addr add 10.5.0.1/24 dev eth0");
    for &address in backends {
        net.ip(&format!("addr add {address}/32 dev lo"));
        let listener = net.run(|| TcpListener::bind((address, PORT)).unwrap());
        thread::spawn(move || serve(&listener));
    }
    (net, wire)
}

/// Answers every byte with the last byte of the address it listens on.
fn serve(listener: &TcpListener) {
    let IpAddr::V4(own) = listener.local_addr().unwrap().ip() else {
        unreachable!()
    };
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                if stream.write_all(&own.octets()[3..]).is_err() {
                    return;
                }
            }
        });
    }
}

fn connect(net: &Net, address: Ipv4Addr) -> std::io::Result<TcpStream> {
    let to = SocketAddr::from((address, PORT));
    let stream = net.run(|| TcpStream::connect_timeout(&to, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Ok(stream)
}

/// Which backend is at the other end.
fn ask(stream: &mut TcpStream) -> u8 {
    stream.write_all(b"?").unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    answer[0]
}

#[test]
fn connections_to_a_vip_spread_over_its_backends() {
    let backends = ["10.5.0.2", "10.5.0.3", "10.5.0.4"].map(v4);
    let (net, _wire) = task(&backends);
    let vip = v4("10.5.0.100");
    let mut batch = rulesets::vip();
    batch.add_elements(
        &rulesets::vip_table(),
        "be",
        rulesets::slots(vip, &backends),
    );
    net.commit(&batch).unwrap();
    let mut counts = BTreeMap::new();
    for _ in 0..150 {
        *counts
            .entry(ask(&mut connect(&net, vip).unwrap()))
            .or_insert(0) += 1;
    }
    // 50 each are expected with a deviation of 6: 20 is five deviations off.
    assert_eq!(counts.keys().copied().collect::<Vec<u8>>(), [2, 3, 4]);
    assert!(counts.values().all(|count| *count > 20), "{counts:?}");
}

#[test]
fn vip_without_backends_is_refused_at_once() {
    let (net, _wire) = task(&[]);
    let vip = v4("10.5.0.200");
    let mut batch = rulesets::vip();
    batch.add_elements(&rulesets::vip_table(), "vips", [Element::key([vip.into()])]);
    net.commit(&batch).unwrap();
    let begun = Instant::now();
    let refused = connect(&net, vip).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let udp = net.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    assert!(udp.send_to(b"?", (vip, PORT)).is_err());
}

#[test]
fn replaced_slots_take_new_connections_and_keep_open_ones() {
    let [old, new] = ["10.5.0.2", "10.5.0.3"].map(v4);
    let (net, _wire) = task(&[old, new]);
    let (vip, table) = (v4("10.5.0.100"), rulesets::vip_table());
    let mut batch = rulesets::vip();
    batch.add_elements(&table, "be", rulesets::slots(vip, &[old]));
    net.commit(&batch).unwrap();
    let mut open: Vec<TcpStream> = (0..20).map(|_| connect(&net, vip).unwrap()).collect();
    assert!(open.iter_mut().all(|stream| ask(stream) == 2));

    let mut batch = Batch::new();
    batch
        .delete_elements(&table, "be", rulesets::slots(vip, &[old]))
        .add_elements(&table, "be", rulesets::slots(vip, &[new]));
    let mut nft = net.nft();
    nft.commit(&batch).unwrap();
    assert!(open.iter_mut().all(|stream| ask(stream) == 2));
    assert!((0..20).all(|_| ask(&mut connect(&net, vip).unwrap()) == 3));
    let mut slots = nft.elements(&table, &rulesets::backends()).unwrap();
    slots.sort();
    assert_eq!(slots, rulesets::slots(vip, &[new]));
}

#[test]
fn vip_answers_during_a_hundred_replacements() {
    let [one, two] = ["10.5.0.2", "10.5.0.3"].map(v4);
    let (net, _wire) = task(&[one, two]);
    let (vip, table) = (v4("10.5.0.100"), rulesets::vip_table());
    let mut batch = rulesets::vip();
    batch.add_elements(&table, "be", rulesets::slots(vip, &[one]));
    net.commit(&batch).unwrap();
    let mut nft = net.nft();
    for (old, new) in [(one, two), (two, one)].into_iter().cycle().take(100) {
        let mut batch = Batch::new();
        batch
            .delete_elements(&table, "be", rulesets::slots(vip, &[old]))
            .add_elements(&table, "be", rulesets::slots(vip, &[new]));
        nft.commit(&batch).unwrap();
        assert_eq!(ask(&mut connect(&net, vip).unwrap()), new.octets()[3]);
    }
}

#[test]
fn ipv6_vip_leads_to_its_backend() {
    let (net, _wire) = task(&[]);
    net.ip("addr add fd05::1/64 dev eth0 nodad");
    net.ip("addr add fd05::2/128 dev lo nodad");
    let mut batch = rulesets::vip6();
    let slots: Vec<Element> = (1..rulesets::SLOTS)
        .map(|slot| {
            let vip = rulesets::v6("fd05::64").into();
            Element::pair([vip, Value::Number(slot)], [rulesets::v6("fd05::2").into()])
        })
        .collect();
    batch.add_elements(&Table::new(Family::Inet, "w6"), "be6", slots);
    net.commit(&batch).unwrap();
    let listener = net.run(|| TcpListener::bind("[fd05::2]:7000").unwrap());
    let to: SocketAddr = "[fd05::64]:7000".parse().unwrap();
    let stream = net.run(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap());
    assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
}

#[test]
fn dns_at_port_53_reaches_the_high_port_and_answers_come_from_53() {
    let net = Net::new();
    net.commit(&rulesets::dns()).unwrap();
    let name: SocketAddr = "127.0.0.11:53".parse().unwrap();
    let (udp, tcp, client) = net.run(|| {
        (
            UdpSocket::bind("127.0.0.11:40053").unwrap(),
            TcpListener::bind("127.0.0.11:40053").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        )
    });
    for socket in [&udp, &client] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    client.send_to(b"query", name).unwrap();
    let mut buffer = [0; 16];
    let (length, asker) = udp.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"query");
    udp.send_to(b"answer", asker).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"answer"[..], name));

    let stream = net.run(|| TcpStream::connect_timeout(&name, PATIENCE).unwrap());
    assert_eq!(stream.peer_addr().unwrap(), name);
    assert_eq!(tcp.accept().unwrap().1, stream.local_addr().unwrap());
}
