//! The rules in the host's namespace: published ports go to tasks, tasks' addresses stay inside.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
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
use weft_kernel::nft::Verdict;
use weft_proto::spec::Protocol;

use crate::rules::Ruleset;
use crate::rules::slots::CLASSES;
use crate::rules::slots::class;
use crate::rules::slots::deal;

use super::mesh::Mesh;
use super::names::TABLE;
use super::names::WEFT0;

/// Key of a published port.
pub(super) const SERVICE: [Field; 2] = [Field::L4Protocol, Field::DestinationPort];

/// Our table in the host's namespace.
pub(super) fn table() -> Table {
    Table::new(Family::Inet, TABLE)
}

/// The rules for a mesh.
pub(super) fn rules(mesh: &Mesh) -> Ruleset {
    let mut rules = Ruleset::new(table());
    publish(&mut rules, mesh);
    for (name, hook) in [("pre", Hook::Prerouting), ("out", Hook::Output)] {
        let chain = Chain::base(name, Purpose::Nat, hook, -100);
        rules.chain(chain, [vec![Expr::to_this_host(), Expr::jump("dn")]]);
    }
    rules.chain(
        Chain::base("post", Purpose::Nat, Hook::Postrouting, 100),
        masquerades(mesh),
    );
    refuse(&mut rules, mesh);
    guard(&mut rules);
    rules
}

/// Chooses a backend and rewrites the destination only: the task sees the true client.
fn publish(rules: &mut Ruleset, mesh: &Mesh) {
    let mut choices = Vec::new();
    // Each node prefers other tasks where the slots do not divide evenly.
    let turn = usize::from(mesh.number.get());
    for slots in CLASSES {
        let [protocol, port] = SERVICE;
        let key = [protocol, port, Field::Turn(slots)];
        let value = [Field::Ip4Destination, Field::DestinationPort];
        let map = Set::map(format!("p4_{slots}"), key, value);
        let services = mesh.ports.iter();
        let services = services.filter(|(_, backends)| class(backends.len()) == slots);
        let elements = services.flat_map(|(service, backends)| {
            deal(backends, turn, number(*service)).map(|(slot, to)| {
                let mut key = service_key(*service);
                key.push(Value::Number(slot));
                (key, vec![Value::Ip4(*to.ip()), Value::Port(to.port())])
            })
        });
        // A port that is not in this class goes on to the next.
        choices.push(vec![
            Expr::ipv4(),
            Expr::one_of(Field::L4Protocol, [Value::TCP, Value::UDP]),
            Expr::dnat_map(false, key, map.name.clone(), true),
        ]);
        rules.set(map, elements);
    }
    rules.chain(Chain::regular("dn"), choices);
}

fn masquerades(mesh: &Mesh) -> Vec<Vec<Expr>> {
    let from =
        |net: Ipv4Net| Expr::in_network(Field::Ip4Source, net.network().into(), net.prefix_len());
    let loopback = Expr::in_network(Field::Ip4Source, Ipv4Addr::LOCALHOST.into(), 8);
    vec![
        // Only callers on the loopback lose their address, which means nothing elsewhere.
        vec![loopback, Expr::oifname(WEFT0), Expr::Masquerade],
        // A task that calls a published port of its own node: without it the answer would not
        // come back this way.
        vec![
            Expr::was_redirected(),
            Expr::oifname(WEFT0),
            from(mesh.pool),
            Expr::Masquerade,
        ],
        // Tasks on their way out.
        vec![
            from(mesh.slice.net()),
            Expr::oifname_not(WEFT0),
            Expr::Masquerade,
        ],
    ]
}

/// What does not go to a task. A published port without tasks is refused at once; otherwise
/// whatever listens on the host at that port would answer for the service. And tasks reach nothing
/// on the host itself, whatever its addresses become until somebody tells us.
fn refuse(rules: &mut Ruleset, mesh: &Mesh) {
    let empty = mesh.ports.iter();
    let empty = empty.filter(|(_, backends)| backends.is_empty());
    let empty = empty.map(|(service, _)| (service_key(*service), Vec::new()));
    rules.set(Set::new("void", SERVICE), empty);
    rules.chain(
        Chain::regular("refuse"),
        [
            vec![Expr::tcp(), Expr::Reject(Reject::TcpReset)],
            vec![Expr::Reject(Reject::PortUnreachable)],
        ],
    );
    rules.chain(
        Chain::base("inp", Purpose::Filter, Hook::Input, 0),
        [
            vec![
                // Answers to the host's own connections may carry the port too; they pass.
                Expr::original_direction(),
                Expr::in_set(SERVICE, "void"),
                Expr::jump("refuse"),
            ],
            vec![
                Expr::iifname(WEFT0),
                Expr::established(),
                Expr::Verdict(Verdict::Return),
            ],
            vec![Expr::iifname(WEFT0), Expr::jump("refuse")],
        ],
    );
}

/// The host forwards; so whoever takes it for a router could reach every port of every task. Only
/// what a published port led here passes.
fn guard(rules: &mut Ruleset) {
    rules.chain(
        Chain::regular("toward"),
        [
            vec![Expr::established(), Expr::accept()],
            vec![Expr::was_redirected(), Expr::accept()],
            vec![Expr::drop()],
        ],
    );
    rules.chain(
        Chain::base("forw", Purpose::Filter, Hook::Forward, 0),
        [vec![Expr::oifname(WEFT0), Expr::jump("toward")]],
    );
}

/// A published port as one number, for the order of its slots.
fn number((protocol, port): (Protocol, u16)) -> u128 {
    let protocol = match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1 << 16,
    };
    u128::from(port) + protocol
}

/// The key of a published port in sets and maps.
pub(super) fn service_key((protocol, port): (Protocol, u16)) -> Vec<Value> {
    let protocol = match protocol {
        Protocol::Tcp => Value::TCP,
        Protocol::Udp => Value::UDP,
    };
    vec![protocol, Value::Port(port)]
}
