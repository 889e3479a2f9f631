//! What a network's bridge lets in: from a task only its own addresses. Pure.

use super::port_name;
use crate::network::rules::Elements;
use crate::network::rules::Ruleset;
use crate::network::wanted::Overlay;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_kernel::netlink::BadName;
use weft_kernel::nft::Base;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Element;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Set;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;
use weft_proto::TaskId;

/// Raise it whenever [`ruleset`] says something else than before.
const VERSION: u32 = 2;

const IP4: &str = "src4";
const IP6: &str = "src6";
const ARP: &str = "arp4";
const ND: &str = "nd6";

/// ICMPv6 "neighbour advertisement" (RFC 4861 s. 4.4): who claims an address, at this offset.
const ADVERTISEMENT: u8 = 136;
const CLAIMED: Field = Field::Raw {
    base: Base::Transport,
    offset: 8,
    length: 16,
};

/// Drops every frame that does not come from the tunnel and does not carry the port's own
/// addresses: IPv4, IPv6, ARP; and every other protocol. Neighbour advertisements may come from the
/// own address and still claim another one, so what they claim is looked at as well.
pub(super) fn ruleset() -> Ruleset {
    let table = Table::new(Family::Bridge, "weft");
    let chain = Chain::base("pre", Purpose::Filter, Hook::Prerouting, -300).dropping();
    let mut frame = Batch::new();
    frame.add_chain(&table, chain).add_rule(
        &table,
        "pre",
        [Expr::iifname(super::TUNNEL), Expr::accept()],
    );
    let claim = [Field::InputName, CLAIMED];
    let lie = [
        Expr::is(Field::Icmpv6Type, Value::Byte(ADVERTISEMENT)),
        Expr::not_in_set(claim, ND),
        Expr::drop(),
    ];
    frame
        .add_set(&table, &Set::new(ND, claim))
        .add_rule(&table, "pre", lie);
    let sets = [
        (IP4, Field::EtherSource, Field::Ip4Source),
        (IP6, Field::EtherSource, Field::Ip6Source),
        (ARP, Field::ArpSenderEther, Field::ArpSenderIp4),
    ];
    for (name, ether, address) in sets {
        let key = [Field::InputName, ether, address];
        frame.add_set(&table, &Set::new(name, key)).add_rule(
            &table,
            "pre",
            [Expr::in_set(key, name), Expr::accept()],
        );
    }
    Ruleset::new(table, VERSION, frame)
}

/// The addresses of the tasks attached here.
pub(super) fn elements(overlay: &Overlay) -> Result<Elements, BadName> {
    let mut elements = Elements::new();
    for (task, port) in &overlay.ports {
        let name = port_name(*task)?.to_string();
        let key = [
            Value::Ifname(name),
            Value::Mac(port.mac.0),
            Value::from(port.ip),
        ];
        let sets: &[&str] = match port.ip {
            IpAddr::V4(_) => &[IP4, ARP],
            IpAddr::V6(_) => &[IP6],
        };
        for set in sets {
            let set = elements.entry((*set).to_owned()).or_default();
            set.insert(Element::key(key.clone()));
        }
        if let IpAddr::V6(ip) = port.ip {
            let [name, ..] = key;
            let claim = [name, Value::Bytes(ip.octets().to_vec())];
            let set = elements.entry(ND.to_owned()).or_default();
            set.insert(Element::key(claim));
        }
    }
    Ok(elements)
}

/// What the elements of these tasks' ports begin with.
pub(super) fn ports(tasks: &BTreeSet<TaskId>) -> Result<BTreeSet<Value>, BadName> {
    let names = tasks.iter().map(|task| port_name(*task));
    names
        .map(|name| name.map(|name| Value::Ifname(name.to_string())))
        .collect()
}
