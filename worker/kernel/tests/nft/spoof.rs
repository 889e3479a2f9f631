//! The guard of a network's bridge, with real frames.

use crate::net::Net;
use crate::rulesets;
use crate::rulesets::v4;
use std::net::UdpSocket;
use std::time::Duration;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Element;
use weft_kernel::nft::Value;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn bridge_delivers_true_sources_and_drops_false_ones() {
    let (network, one, two) = (Net::new(), Net::new(), Net::new());
    network.ip("link add br0 type bridge");
    network.ip("link set br0 up");
    let table = rulesets::bridge_table();
    network.commit(&rulesets::bridge()).unwrap();
    for (task, port, address) in [(&one, "p1", "10.5.0.2"), (&two, "p2", "10.5.0.3")] {
        network.veth(port, task, "eth0");
        network.ip(&format!("link set {port} master br0"));
        task.ip(&format!("addr add {address}/24 dev eth0"));
        let key = [
            rulesets::ifname(port),
            Value::Mac(task.mac("eth0")),
            v4(address).into(),
        ];
        let mut batch = Batch::new();
        for set in ["src4", "arp4"] {
            batch.add_elements(&table, set, [Element::key(key.clone())]);
        }
        network.commit(&batch).unwrap();
    }
    one.ip("addr add 10.5.0.66/24 dev eth0");
    let bind = |address: &'static str| one.run(move || UdpSocket::bind((address, 0)).unwrap());
    let (honest, liar) = (bind("10.5.0.2"), bind("10.5.0.66"));
    let receiver = two.run(|| UdpSocket::bind("10.5.0.3:7000").unwrap());
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 16];
    // The first one also resolves the address, so that the lie does not wait for it.
    for _ in 0..2 {
        honest.send_to(b"true", "10.5.0.3:7000").unwrap();
        receiver.recv_from(&mut buffer).unwrap();
        liar.send_to(b"false", "10.5.0.3:7000").unwrap();
    }
    // The lies went first: whoever gets the truth has not got them.
    honest.send_to(b"true", "10.5.0.3:7000").unwrap();
    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..length], from),
        (&b"true"[..], honest.local_addr().unwrap())
    );
    receiver.set_nonblocking(true).unwrap();
    assert!(receiver.recv_from(&mut buffer).is_err());
}
