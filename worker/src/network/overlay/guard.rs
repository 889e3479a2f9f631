//! What a network's bridge lets in: from a task only its own addresses. Pure.

use super::port_name;
use crate::network::wanted::Overlay;
use crate::rules::Contents;
use crate::rules::Ruleset;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_kernel::netlink::BadName;
use weft_kernel::nft::Base;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Set;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;
use weft_proto::TaskId;

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
///
/// The tasks to `keep` stay let in, if they are, though they are not wanted.
pub(super) fn rules(overlay: &Overlay, keep: &BTreeSet<TaskId>) -> Result<Ruleset, BadName> {
    let mut rules = Ruleset::new(Table::new(Family::Bridge, "weft"));
    let claim = [Field::InputName, CLAIMED];
    rules.set(Set::new(ND, claim), []);
    let mut pre = vec![
        vec![Expr::iifname(super::TUNNEL), Expr::accept()],
        vec![
            Expr::is(Field::Icmpv6Type, Value::Byte(ADVERTISEMENT)),
            Expr::not_in_set(claim, ND),
            Expr::drop(),
        ],
    ];
    let sets = [
        (IP4, Field::EtherSource, Field::Ip4Source),
        (IP6, Field::EtherSource, Field::Ip6Source),
        (ARP, Field::ArpSenderEther, Field::ArpSenderIp4),
    ];
    for (name, ether, address) in sets {
        let key = [Field::InputName, ether, address];
        rules.set(Set::new(name, key), []);
        pre.push(vec![Expr::in_set(key, name), Expr::accept()]);
    }
    let chain = Chain::base("pre", Purpose::Filter, Hook::Prerouting, -300).dropping();
    rules.chain(chain, pre);
    rules.fill(contents(overlay)?);
    rules.spare(ports(keep)?);
    Ok(rules)
}

/// The addresses of the tasks attached here.
fn contents(overlay: &Overlay) -> Result<Contents, BadName> {
    let mut contents = Contents::new();
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
            let set = contents.entry((*set).to_owned()).or_default();
            set.insert(key.to_vec(), Vec::new());
        }
        if let IpAddr::V6(ip) = port.ip {
            let [name, ..] = key;
            let claim = vec![name, Value::Bytes(ip.octets().to_vec())];
            let set = contents.entry(ND.to_owned()).or_default();
            set.insert(claim, Vec::new());
        }
    }
    Ok(contents)
}

/// What the elements of these tasks' ports begin with.
fn ports(tasks: &BTreeSet<TaskId>) -> Result<BTreeSet<Value>, BadName> {
    let names = tasks.iter().map(|task| port_name(*task));
    names
        .map(|name| name.map(|name| Value::Ifname(name.to_string())))
        .collect()
}
