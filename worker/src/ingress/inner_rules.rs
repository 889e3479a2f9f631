//! The rules in the ingress namespace: replies go back where they came from, and tasks reach what
//! they may and nothing else.

use weft_kernel::nft::Chain;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Reject;
use weft_kernel::nft::Set;
use weft_kernel::nft::Source;
use weft_kernel::nft::Table;
use weft_kernel::nft::Target;
use weft_kernel::nft::Value;
use weft_proto::defaults::VXLAN_PORT;

use crate::rules::Ruleset;

use super::host_rules::SERVICE;
use super::host_rules::service_key;
use super::mesh::Mesh;
use super::names::HOST0;
use super::names::ORIGIN;
use super::names::TABLE;
use super::names::VXI;
use super::names::mark_of;
use super::names::node_mac;

/// All our ends of tasks' pairs: no other name in the ingress namespace begins so.
const TASKS: &str = "t*";

/// The rules at the namespace's hooks.
pub(super) fn rules(mesh: &Mesh) -> Ruleset {
    let mut rules = Ruleset::new(Table::new(Family::Inet, TABLE));
    origin(&mut rules, mesh);
    own_source(&mut rules, mesh);
    input(&mut rules);
    forward(&mut rules, mesh);
    rules
}

/// The rule at the VXLAN device: a reply's mark says whose frame it becomes. One rule and one
/// route do for any number of nodes.
pub(super) fn reply_rules(mesh: &Mesh) -> Ruleset {
    let mut rules = Ruleset::new(Table::new(Family::Netdev, TABLE));
    let macs = mesh.peers.keys().map(|number| {
        let mac = Value::Mac(node_mac(*number).0);
        (vec![Value::Number(mark_of(*number))], vec![mac])
    });
    rules.set(
        Set::map("mac", [Field::Mark], [Field::EtherDestination]),
        macs,
    );
    rules.chain(
        Chain::base("eg", Purpose::Filter, Hook::Egress(VXI.to_owned()), 0),
        [vec![Expr::write_from_map(
            Target::EtherDestination,
            [Field::Mark],
            "mac",
        )]],
    );
    rules
}

/// Remembers by the frame's source which node a connection came from. The node's number is also
/// the connection's zone: one client may use one port towards three nodes that all lead to one
/// task, and only the zone tells these connections apart.
fn origin(rules: &mut Ruleset, mesh: &Mesh) {
    let ether = [Field::EtherSource];
    let key = |number| vec![Value::Mac(node_mac(number).0)];
    let zones = mesh.peers.keys();
    let zones = zones.map(|number| (key(*number), vec![Value::Zone(number.get())]));
    rules.set(Set::map("zone", ether, [Field::CtZone]), zones);
    let marks = mesh.peers.keys();
    let marks = marks.map(|number| (key(*number), vec![Value::Number(mark_of(*number))]));
    rules.set(Set::map("omark", ether, [Field::Mark]), marks);
    rules.chain(
        Chain::base("raw", Purpose::Filter, Hook::Prerouting, -300),
        [vec![
            Expr::iifname(VXI),
            Expr::write_from_map(Target::CtOriginalZone, ether, "zone"),
        ]],
    );
    let back = Source::Field(Field::CtMark);
    rules.chain(
        Chain::base("pre", Purpose::Filter, Hook::Prerouting, -150),
        [
            vec![
                Expr::iifname(VXI),
                Expr::original_direction(),
                Expr::write_from_map(Target::CtMark, ether, "omark"),
            ],
            vec![
                Expr::iifname_not(VXI),
                Expr::reply_direction(),
                Expr::masked(Field::CtMark, ORIGIN, ORIGIN),
                Expr::Write {
                    target: Target::Mark,
                    source: back,
                },
            ],
        ],
    );
    // Empty but needed: with it the kernel gives a later one of two connections that would look
    // alike to the task another source port.
    rules.chain(Chain::base("nat", Purpose::Nat, Hook::Postrouting, 100), []);
}

/// A task sends from its own address only.
fn own_source(rules: &mut Ruleset, mesh: &Mesh) {
    let key = [Field::InputName, Field::Ip4Source];
    let own = mesh.tasks.iter().map(|(offset, port)| {
        let key = vec![ifname(*offset), Value::Ip4(port.addr)];
        (key, Vec::new())
    });
    rules.set(Set::new("own4", key), own);
    rules.chain(
        Chain::base("spoof", Purpose::Filter, Hook::Prerouting, -310),
        [
            vec![
                Expr::iifname(TASKS),
                Expr::not_in_set(key, "own4"),
                Expr::drop(),
            ],
            // Tasks have no IPv6 address here yet.
            vec![Expr::iifname(TASKS), Expr::ipv6(), Expr::drop()],
        ],
    );
}

fn input(rules: &mut Ruleset) {
    rules.chain(
        Chain::base("inp", Purpose::Filter, Hook::Input, 0).dropping(),
        [
            vec![Expr::is(Field::IcmpType, Value::Byte(8)), Expr::accept()],
            vec![Expr::established(), Expr::accept()],
        ],
    );
}

fn forward(rules: &mut Ruleset, mesh: &Mesh) {
    let nodes = mesh
        .nodes
        .iter()
        .map(|node| (vec![Value::Ip4(*node)], Vec::new()));
    rules.set(Set::new("nodes4", [Field::Ip4Destination]), nodes);
    let published = mesh
        .ports
        .keys()
        .map(|service| (service_key(*service), Vec::new()));
    rules.set(Set::new("pub", SERVICE), published);
    let free = mesh.tasks.iter().filter(|(_, port)| port.egress);
    let free = free.map(|(offset, _)| (vec![ifname(*offset)], Vec::new()));
    rules.set(Set::new("egress", [Field::InputName]), free);
    leaving(rules, mesh);
    let from_others = [VXI, HOST0].map(|name| Value::Ifname(name.to_owned()));
    rules.chain(
        Chain::base("forw", Purpose::Filter, Hook::Forward, 0).dropping(),
        [
            vec![Expr::established(), Expr::accept()],
            vec![
                Expr::one_of(Field::InputName, from_others),
                Expr::oifname(TASKS),
                Expr::accept(),
            ],
            vec![Expr::iifname(HOST0), Expr::oifname(VXI), Expr::accept()],
            vec![Expr::iifname(TASKS), Expr::oifname(HOST0), Expr::jump("eg")],
            vec![Expr::iifname(TASKS), Expr::jump("refuse")],
        ],
    );
}

/// What a task may begin itself. Refusals are said aloud, so that nobody waits for a timeout.
fn leaving(rules: &mut Ruleset, mesh: &Mesh) {
    let to_node = || Expr::in_set([Field::Ip4Destination], "nodes4");
    let pool = (mesh.pool.network().into(), mesh.pool.prefix_len());
    let refuse = || Expr::jump("refuse");
    rules.chain(
        Chain::regular("refuse"),
        [
            vec![Expr::tcp(), Expr::Reject(Reject::TcpReset)],
            vec![Expr::Reject(Reject::HostUnreachable)],
        ],
    );
    rules.chain(
        Chain::regular("eg"),
        [
            vec![to_node(), Expr::in_set(SERVICE, "pub"), Expr::accept()],
            // The node's masquerade would make the task look like a member node, and its frames
            // would enter every network that is not encrypted. Nodes may have more addresses than
            // we know, so nobody's port is reached.
            vec![Expr::udp(), Expr::dport(VXLAN_PORT), refuse()],
            vec![to_node(), refuse()],
            vec![
                Expr::in_network(Field::Ip4Destination, pool.0, pool.1),
                refuse(),
            ],
            vec![Expr::in_set([Field::InputName], "egress"), Expr::accept()],
            vec![refuse()],
        ],
    );
}

fn ifname(offset: u8) -> Value {
    Value::Ifname(format!("t{offset}"))
}
