//! Virtual addresses, balanced where a connection begins: in the task's own namespace. The backend
//! sees the true caller, and a removed backend keeps the connections it has. Pure.
//!
//! A map leads from (address, slot) to a backend; the slot is drawn for each new connection. How
//! many slots an address has follows from its number of backends: three maps, tried in turn.

use crate::dns::RESOLVER_ADDRESS;
use crate::dns::RESOLVER_PORT;
use crate::rules::Contents;
use crate::rules::Ruleset;
use crate::rules::slots::CLASSES;
use crate::rules::slots::class;
use crate::rules::slots::deal;
use std::collections::BTreeMap;
use std::net::IpAddr;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Reject;
use weft_kernel::nft::Set;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;

/// The table of a task's namespace.
pub fn table() -> Table {
    Table::new(Family::Inet, "weft_task")
}

/// The rules of a task's namespace: the resolver's redirect, the virtual addresses, and the refusal
/// of those that have no backend.
pub fn rules(vips: &BTreeMap<IpAddr, Vec<IpAddr>>, turn: usize) -> Ruleset {
    let mut rules = Ruleset::new(table());
    let resolver = Expr::is(Field::Ip4Destination, RESOLVER_ADDRESS);
    let redirect = Expr::dnat_to(RESOLVER_ADDRESS.into(), Some(RESOLVER_PORT));
    let mut out: Vec<_> = [Expr::udp(), Expr::tcp()]
        .map(|protocol| {
            let to = resolver.clone();
            vec![to, protocol, Expr::dport(53), redirect.clone()]
        })
        .into();
    let mut refuse = Vec::new();
    for v6 in [false, true] {
        let address = destination(v6);
        rules.set(Set::new(known_name(v6), [address]), []);
        for class in CLASSES {
            let (key, name) = ([address, Field::Turn(class)], map_name(v6, class));
            rules.set(Set::map(name.clone(), key, [address]), []);
            out.push(vec![Expr::dnat_map(v6, key, name, false)]);
        }
        // What was not rewritten has no backend. A reset beats a timeout.
        let unanswered = || Expr::in_set([address], known_name(v6));
        let reset = Expr::Reject(Reject::TcpReset);
        refuse.push(vec![unanswered(), Expr::tcp(), reset]);
        refuse.push(vec![unanswered(), Expr::Reject(Reject::HostUnreachable)]);
    }
    rules.chain(Chain::base("out", Purpose::Nat, Hook::Output, -100), out);
    let at = Chain::base("refuse", Purpose::Filter, Hook::Output, 0);
    rules.chain(at, refuse);
    rules.fill(contents(vips, turn));
    rules
}

/// What the sets and maps hold. `turn` says who of too many backends has the slots that do not
/// divide evenly: give each caller another number, so that none is preferred by all.
fn contents(vips: &BTreeMap<IpAddr, Vec<IpAddr>>, turn: usize) -> Contents {
    let mut contents = Contents::new();
    for (vip, backends) in vips {
        let v6 = vip.is_ipv6();
        let known = contents.entry(known_name(v6)).or_default();
        known.insert(vec![Value::from(*vip)], Vec::new());
        // An address can only be rewritten to one of its own kind.
        let backends: Vec<IpAddr> = backends
            .iter()
            .copied()
            .filter(|backend| backend.is_ipv6() == v6)
            .collect();
        if backends.is_empty() {
            continue;
        }
        let slots = contents.entry(map_name(v6, class(backends.len())));
        slots
            .or_default()
            .extend(deal(&backends, turn, number(*vip)).map(|(slot, backend)| {
                let key = vec![Value::from(*vip), Value::Number(slot)];
                (key, vec![Value::from(backend)])
            }));
    }
    contents
}

fn destination(v6: bool) -> Field {
    if v6 {
        Field::Ip6Destination
    } else {
        Field::Ip4Destination
    }
}

fn known_name(v6: bool) -> String {
    format!("vips{}", if v6 { 6 } else { 4 })
}

fn map_name(v6: bool, class: u32) -> String {
    format!("slots{class}_v{}", if v6 { 6 } else { 4 })
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u32::from(addr).into(),
        IpAddr::V6(addr) => addr.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_backends_is_known_but_leads_nowhere() {
        let vip: IpAddr = "fd00::64".parse().unwrap();
        let found = contents(&BTreeMap::from([(vip, vec![])]), 0);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["vips6"]);
    }

    #[test]
    fn one_changed_service_touches_only_its_own_slots() {
        let vip = |n: u8| IpAddr::from([10, 5, 0, n]);
        let one = BTreeMap::from([(vip(1), vec![vip(11)]), (vip(2), vec![vip(12)])]);
        let mut two = one.clone();
        two.insert(vip(2), vec![vip(12), vip(13)]);
        let batch = rules(&two, 0).difference(&contents(&one, 0));
        let text = format!("{batch:?}");
        assert!(!text.contains("10.5.0.1)"), "{text}");
        // Half of the slots go from one backend to the other: taken away, and given anew.
        assert_eq!(batch.steps().len(), 2);
        assert_eq!(text.matches("10.5.0.2)").count(), 12);
    }
}
