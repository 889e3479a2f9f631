//! The rulesets that keep packets out, said through our API.

use crate::rulesets::ifname;
use crate::rulesets::v4;
use crate::rulesets::v6;
use weft_kernel::nft::Base;
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

pub(crate) fn ingress_filter() -> Batch {
    let table = Table::new(Family::Inet, "guard");
    let link_local = |field| Expr::in_network(field, v6("fe80::").into(), 10);
    let any4 = Expr::in_network(Field::Ip4Source, v4("0.0.0.0").into(), 0);
    let any6 = Expr::in_network(Field::Ip6Source, v6("::").into(), 0);
    let own4 = [Field::InputName, Field::Ip4Source];
    let own6 = [Field::InputName, Field::Ip6Source];
    let service = [Field::L4Protocol, Field::DestinationPort];
    let icmpv6 = [135, 136, 128].map(Value::Byte);
    let base = |name, hook, priority| Chain::base(name, Purpose::Filter, hook, priority);
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(&table, &Set::new("own4", own4))
        .add_set(&table, &Set::new("own6", own6))
        .add_set(&table, &Set::new("nodes4", [Field::Ip4Destination]))
        .add_set(&table, &Set::new("pub", service))
        .add_set(&table, &Set::new("egress", [Field::InputName]))
        .add_elements(
            &table,
            "own4",
            [Element::key([ifname("t10"), v4("10.255.7.10").into()])],
        )
        .add_elements(
            &table,
            "pub",
            [Element::key([Value::TCP, Value::Port(8080)])],
        )
        .add_elements(&table, "egress", [Element::key([ifname("t10")])])
        .add_chain(&table, base("spoof", Hook::Prerouting, -310))
        .add_rule(
            &table,
            "spoof",
            [
                Expr::iifname("t*"),
                link_local(Field::Ip6Source),
                link_local(Field::Ip6Destination),
                Expr::accept(),
            ],
        )
        .add_rule(
            &table,
            "spoof",
            [
                Expr::iifname("t*"),
                any4,
                Expr::not_in_set(own4, "own4"),
                Expr::drop(),
            ],
        )
        .add_rule(
            &table,
            "spoof",
            [
                Expr::iifname("t*"),
                any6,
                Expr::not_in_set(own6, "own6"),
                Expr::drop(),
            ],
        )
        .add_chain(&table, base("inp", Hook::Input, 0).dropping())
        .add_rule(
            &table,
            "inp",
            [Expr::is(Field::IcmpType, Value::Byte(8)), Expr::accept()],
        )
        .add_rule(
            &table,
            "inp",
            [Expr::one_of(Field::Icmpv6Type, icmpv6), Expr::accept()],
        )
        .add_rule(&table, "inp", [Expr::established(), Expr::accept()]);
    forward(&mut batch, &table, service);
    batch
}

fn forward(batch: &mut Batch, table: &Table, service: [Field; 2]) {
    let base = |name, hook, priority| Chain::base(name, Purpose::Filter, hook, priority);
    batch
        .add_chain(table, Chain::regular("eg"))
        .add_chain(table, base("forw", Hook::Forward, 0).dropping())
        .add_rule(table, "forw", [Expr::established(), Expr::accept()])
        .add_rule(
            table,
            "forw",
            [
                Expr::one_of(Field::InputName, ["vxi", "host0"].map(ifname)),
                Expr::oifname("t*"),
                Expr::accept(),
            ],
        )
        .add_rule(
            table,
            "forw",
            [
                Expr::iifname("t*"),
                Expr::oifname("host0"),
                Expr::jump("eg"),
            ],
        )
        .add_rule(
            table,
            "eg",
            [
                Expr::in_set([Field::Ip4Destination], "nodes4"),
                Expr::in_set(service, "pub"),
                Expr::accept(),
            ],
        )
        .add_rule(
            table,
            "eg",
            [
                Expr::in_set([Field::Ip4Destination], "nodes4"),
                Expr::Reject(Reject::HostUnreachable),
            ],
        )
        .add_rule(
            table,
            "eg",
            [
                Expr::in_network(Field::Ip4Destination, v4("10.255.0.0").into(), 16),
                Expr::drop(),
            ],
        )
        .add_rule(
            table,
            "eg",
            [Expr::in_set([Field::InputName], "egress"), Expr::accept()],
        );
}

pub(crate) fn receipt() -> Batch {
    let table = Table::new(Family::Inet, "enc");
    let vni = Field::Raw {
        base: Base::Transport,
        offset: 12,
        length: 3,
    };
    let key = [Field::Ip4Source, vni];
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(&table, &Set::new("ok", key))
        .add_elements(
            &table,
            "ok",
            [Element::key([
                v4("10.99.0.2").into(),
                Value::Bytes(vec![0, 0, 100]),
            ])],
        )
        .add_chain(
            &table,
            Chain::base("in", Purpose::Filter, Hook::Prerouting, -300),
        )
        .add_rule(
            &table,
            "in",
            [
                Expr::udp(),
                Expr::dport(4789),
                Expr::in_set(key, "ok"),
                Expr::Notrack,
                Expr::accept(),
            ],
        )
        .add_rule(
            &table,
            "in",
            [Expr::is(Field::IcmpType, Value::Byte(3)), Expr::accept()],
        )
        .add_rule(&table, "in", [Expr::Counter, Expr::drop()]);
    batch
}
