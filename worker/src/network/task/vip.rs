//! Virtual addresses, balanced where a connection begins: in the task's own namespace. The backend
//! sees the true caller, and a removed backend keeps the connections it has. Pure.
//!
//! A map leads from (address, slot) to a backend; the slot is drawn for each new connection. How
//! many slots an address has follows from its number of backends: three maps, tried in turn.

use crate::dns::RESOLVER_ADDRESS;
use crate::dns::RESOLVER_PORT;
use crate::network::rules::Elements;
use crate::network::rules::Ruleset;
use std::collections::BTreeMap;
use std::net::IpAddr;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Element;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Reject;
use weft_kernel::nft::Set;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;

/// Slots of an address: so that 1 to 4, 6 and 12 backends, then also 5, then also 7 and 8 have
/// exactly equal shares.
const CLASSES: [u32; 3] = [12, 60, 840];

/// Above eight backends shares need not be exactly equal; each has at least this many slots where
/// it can, so that the luckiest has at most a fifth more than the unluckiest.
const FAIR_SHARE: usize = 5;

/// Raise it whenever [`ruleset`] says something else than before.
const VERSION: u32 = 1;

/// The table of a task's namespace.
pub fn table() -> Table {
    Table::new(Family::Inet, "weft_task")
}

/// The sets, chains and rules of a task's namespace: the resolver's redirect, the virtual
/// addresses, and the refusal of those that have no backend.
pub fn ruleset() -> Ruleset {
    let table = table();
    let mut frame = Batch::new();
    for v6 in [false, true] {
        let address = destination(v6);
        frame.add_set(&table, &Set::new(known_name(v6), [address]));
        for class in CLASSES {
            let key = [address, Field::Random(class)];
            frame.add_set(&table, &Set::map(map_name(v6, class), key, [address]));
        }
    }
    frame.add_chain(&table, Chain::base("out", Purpose::Nat, Hook::Output, -100));
    for protocol in [Expr::udp(), Expr::tcp()] {
        let resolver = Expr::is(Field::Ip4Destination, RESOLVER_ADDRESS);
        let redirect = Expr::dnat_to(RESOLVER_ADDRESS.into(), Some(RESOLVER_PORT));
        frame.add_rule(
            &table,
            "out",
            [resolver, protocol, Expr::dport(53), redirect],
        );
    }
    let refuse = Chain::base("refuse", Purpose::Filter, Hook::Output, 0);
    frame.add_chain(&table, refuse);
    for v6 in [false, true] {
        let address = destination(v6);
        for class in CLASSES {
            let key = [address, Field::Random(class)];
            let balance = Expr::dnat_map(v6, key, map_name(v6, class), false);
            frame.add_rule(&table, "out", [balance]);
        }
        // What was not rewritten has no backend. A reset beats a timeout.
        let unanswered = || Expr::in_set([address], known_name(v6));
        let reset = [unanswered(), Expr::tcp(), Expr::Reject(Reject::TcpReset)];
        let unreachable = [unanswered(), Expr::Reject(Reject::HostUnreachable)];
        frame
            .add_rule(&table, "refuse", reset)
            .add_rule(&table, "refuse", unreachable);
    }
    Ruleset::new(table, VERSION, frame)
}

/// What the sets and maps hold. `turn` says who of too many backends has the slots that do not
/// divide evenly: give each caller another number, so that none is preferred by all.
pub fn elements(vips: &BTreeMap<IpAddr, Vec<IpAddr>>, turn: usize) -> Elements {
    let mut elements = Elements::new();
    for (vip, backends) in vips {
        let v6 = vip.is_ipv6();
        let known = elements.entry(known_name(v6)).or_default();
        known.insert(Element::key([Value::from(*vip)]));
        // An address can only be rewritten to one of its own kind.
        let backends: Vec<_> = backends
            .iter()
            .filter(|backend| backend.is_ipv6() == v6)
            .collect();
        let Some(start) = turn.checked_rem(backends.len()) else {
            continue;
        };
        let class = class(backends.len());
        let slots = elements.entry(map_name(v6, class)).or_default();
        let dealt = backends.into_iter().cycle().skip(start);
        for (slot, backend) in (0..class).zip(dealt) {
            let key = [Value::from(*vip), Value::Number(slot)];
            slots.insert(Element::pair(key, [Value::from(*backend)]));
        }
    }
    elements
}

/// How many slots this many backends share: the fewest that are fair.
fn class(backends: usize) -> u32 {
    let fair = |class: &&u32| {
        usize::try_from(**class).is_ok_and(|slots| {
            slots % backends.max(1) == 0 || backends > 8 && slots / backends >= FAIR_SHARE
        })
    };
    let [.., largest] = CLASSES;
    CLASSES.iter().find(fair).copied().unwrap_or(largest)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shares(backends: u8, turn: usize) -> BTreeMap<Vec<Value>, usize> {
        let vip: IpAddr = "10.5.0.100".parse().unwrap();
        let backends = (1..=backends).map(|n| IpAddr::from([10, 5, 1, n]));
        let elements = elements(&BTreeMap::from([(vip, backends.collect())]), turn);
        let mut shares = BTreeMap::new();
        for element in elements.values().flatten() {
            if !element.value.is_empty() {
                *shares.entry(element.value.clone()).or_default() += 1;
            }
        }
        shares
    }

    #[test]
    fn up_to_eight_backends_share_exactly_and_more_share_fairly() {
        for backends in 1..=120 {
            let shares = shares(backends, 3);
            assert_eq!(shares.len(), usize::from(backends));
            let least = *shares.values().min().unwrap();
            let most = *shares.values().max().unwrap();
            let spread = most - least;
            assert!(spread == 0 || backends > 8 && least >= 5 && spread == 1);
        }
        assert_eq!(
            (class(4), class(5), class(7), class(2000)),
            (12, 60, 840, 840)
        );
    }

    #[test]
    fn an_address_without_backends_is_known_but_leads_nowhere() {
        assert!(shares(0, 0).is_empty());
        let vip: IpAddr = "fd00::64".parse().unwrap();
        let found = elements(&BTreeMap::from([(vip, vec![])]), 0);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["vips6"]);
    }

    #[test]
    fn one_changed_service_touches_only_its_own_slots() {
        let vip = |n: u8| IpAddr::from([10, 5, 0, n]);
        let one = BTreeMap::from([(vip(1), vec![vip(11)]), (vip(2), vec![vip(12)])]);
        let mut two = one.clone();
        two.insert(vip(2), vec![vip(12), vip(13)]);
        let batch = ruleset().plan(
            Some(&elements(&one, 0)),
            &elements(&two, 0),
            &BTreeSet::new(),
        );
        let text = format!("{batch:?}");
        assert!(!text.contains("10.5.0.1)"), "{text}");
        // Half of the slots go from one backend to the other: taken away, and given anew.
        assert_eq!(batch.steps().len(), 2);
        assert_eq!(text.matches("10.5.0.2)").count(), 12);
    }
}
