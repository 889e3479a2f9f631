//! The data plane's rulesets, said through our API.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
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
use weft_kernel::nft::Source;
use weft_kernel::nft::Table;
use weft_kernel::nft::Target;
use weft_kernel::nft::Value;

pub(crate) const SLOTS: u32 = 12;
pub(crate) const ORIGIN: [u8; 6] = [2, 0xff, 0, 0, 0, 1];

pub(crate) fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(crate) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(crate) fn vip_table() -> Table {
    Table::new(Family::Ip, "w")
}

pub(crate) fn backends() -> Set {
    Set::map(
        "be",
        [Field::Ip4Destination, Field::Random(SLOTS)],
        [Field::Ip4Destination],
    )
}

/// All slots of a VIP, dealt to its backends in turn.
pub(crate) fn slots(vip: Ipv4Addr, backends: &[Ipv4Addr]) -> Vec<Element> {
    (0..SLOTS)
        .zip(backends.iter().cycle())
        .map(|(slot, backend)| {
            Element::pair([vip.into(), Value::Number(slot)], [(*backend).into()])
        })
        .collect()
}

pub(crate) fn vip() -> Batch {
    let table = vip_table();
    let vip = Field::Ip4Destination;
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(&table, &backends())
        .add_set(&table, &Set::new("vips", [vip]))
        .add_chain(&table, Chain::base("out", Purpose::Nat, Hook::Output, -100))
        .add_rule(
            &table,
            "out",
            [Expr::dnat_map(false, backends().key, "be", false)],
        )
        .add_chain(&table, Chain::base("f", Purpose::Filter, Hook::Output, 0))
        .add_rule(
            &table,
            "f",
            [
                Expr::in_set([vip], "vips"),
                Expr::tcp(),
                Expr::Reject(Reject::TcpReset),
            ],
        )
        .add_rule(
            &table,
            "f",
            [
                Expr::in_set([vip], "vips"),
                Expr::Reject(Reject::IcmpHostUnreachable),
            ],
        );
    batch
}

pub(crate) fn vip6() -> Batch {
    let table = Table::new(Family::Inet, "w6");
    let key = [Field::Ip6Destination, Field::Random(SLOTS)];
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(&table, &Set::map("be6", key, [Field::Ip6Destination]))
        .add_elements(
            &table,
            "be6",
            [Element::pair(
                [v6("fd05::64").into(), Value::Number(0)],
                [v6("fd05::2").into()],
            )],
        )
        .add_chain(&table, Chain::base("out", Purpose::Nat, Hook::Output, -100))
        .add_rule(&table, "out", [Expr::dnat_map(true, key, "be6", false)])
        .add_set(
            &table,
            &Set::map("aff", [Field::HashIp4Source(8)], [Field::Ip4Destination]),
        )
        .add_elements(
            &table,
            "aff",
            [Element::pair([Value::Number(0)], [v4("10.5.0.2").into()])],
        )
        .add_rule(
            &table,
            "out",
            [Expr::dnat_map(
                false,
                [Field::HashIp4Source(8)],
                "aff",
                false,
            )],
        )
        .add_chain(&table, Chain::base("f", Purpose::Filter, Hook::Output, 0))
        .add_rule(
            &table,
            "f",
            [
                Expr::is(Field::Ip6Destination, v6("fd05::65")),
                Expr::Reject(Reject::Icmpv6AddressUnreachable),
            ],
        );
    batch
}

pub(crate) fn dns() -> Batch {
    let table = Table::new(Family::Ip, "dns");
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_chain(&table, Chain::base("out", Purpose::Nat, Hook::Output, -100));
    for protocol in [Expr::udp(), Expr::tcp()] {
        batch.add_rule(
            &table,
            "out",
            [
                Expr::is(Field::Ip4Destination, v4("127.0.0.11")),
                protocol,
                Expr::dport(53),
                Expr::dnat_to(v4("127.0.0.11").into(), Some(40053)),
            ],
        );
    }
    batch
}

pub(crate) fn mesh_table() -> Table {
    Table::new(Family::Inet, "weft")
}

pub(crate) fn published() -> Set {
    Set::map(
        "p4",
        [
            Field::L4Protocol,
            Field::DestinationPort,
            Field::Random(SLOTS),
        ],
        [Field::Ip4Destination, Field::DestinationPort],
    )
}

/// Every slot of a published TCP port leads to one backend.
pub(crate) fn publish(port: u16, address: Ipv4Addr, to: u16) -> Vec<Element> {
    (0..SLOTS)
        .map(|slot| {
            Element::pair(
                [Value::TCP, Value::Port(port), Value::Number(slot)],
                [address.into(), Value::Port(to)],
            )
        })
        .collect()
}

pub(crate) fn mesh() -> Batch {
    let table = mesh_table();
    let p4 = published();
    let p6 = Set::map(
        "p6",
        p4.key.clone(),
        [Field::Ip6Destination, Field::DestinationPort],
    );
    let ports = || Expr::one_of(Field::L4Protocol, [Value::TCP, Value::UDP]);
    let loopback = Expr::in_network(Field::Ip4Source, v4("127.0.0.0").into(), 8);
    let tasks = |bits| Expr::in_network(Field::Ip4Source, v4("10.255.7.0").into(), bits);
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(&table, &p4)
        .add_set(&table, &p6)
        .add_chain(&table, Chain::regular("dn"))
        .add_rule(
            &table,
            "dn",
            [
                Expr::ipv4(),
                ports(),
                Expr::dnat_map(false, p4.key.clone(), "p4", true),
            ],
        )
        .add_rule(
            &table,
            "dn",
            [
                Expr::ipv6(),
                ports(),
                Expr::dnat_map(true, p4.key.clone(), "p6", true),
            ],
        );
    for (name, hook) in [("pre", Hook::Prerouting), ("out", Hook::Output)] {
        batch
            .add_chain(&table, Chain::base(name, Purpose::Nat, hook, -100))
            .add_rule(&table, name, [Expr::to_this_host(), Expr::jump("dn")]);
    }
    batch
        .add_chain(
            &table,
            Chain::base("post", Purpose::Nat, Hook::Postrouting, 100),
        )
        .add_rule(
            &table,
            "post",
            [loopback, Expr::oifname("weft0"), Expr::Masquerade],
        )
        .add_rule(
            &table,
            "post",
            [
                Expr::is(Field::Ip6Source, v6("::1")),
                Expr::oifname("weft0"),
                Expr::Masquerade,
            ],
        )
        .add_rule(
            &table,
            "post",
            [
                Expr::was_redirected(),
                Expr::oifname("weft0"),
                tasks(16),
                Expr::Masquerade,
            ],
        )
        .add_rule(
            &table,
            "post",
            [tasks(24), Expr::oifname_not("weft0"), Expr::Masquerade],
        );
    batch
}

pub(crate) fn origin() -> Batch {
    let table = mesh_table();
    let ether = [Field::EtherSource];
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(&table, &Set::map("zone", ether, [Field::CtZone]))
        .add_set(&table, &Set::map("omark", ether, [Field::Mark]))
        .add_elements(
            &table,
            "zone",
            [Element::pair([Value::Mac(ORIGIN)], [Value::Zone(1)])],
        )
        .add_elements(
            &table,
            "omark",
            [Element::pair(
                [Value::Mac(ORIGIN)],
                [Value::Number(0x10001)],
            )],
        )
        .add_chain(
            &table,
            Chain::base("raw", Purpose::Filter, Hook::Prerouting, -300),
        )
        .add_rule(
            &table,
            "raw",
            [
                Expr::iifname("vxi"),
                Expr::write_from_map(Target::CtOriginalZone, ether, "zone"),
            ],
        )
        .add_chain(
            &table,
            Chain::base("pre", Purpose::Filter, Hook::Prerouting, -150),
        )
        .add_rule(
            &table,
            "pre",
            [
                Expr::iifname("vxi"),
                Expr::original_direction(),
                Expr::write_from_map(Target::CtMark, ether, "omark"),
            ],
        )
        .add_rule(
            &table,
            "pre",
            [
                Expr::iifname_not("vxi"),
                Expr::reply_direction(),
                Expr::masked(Field::CtMark, 0x10000, 0x10000),
                Expr::Write {
                    target: Target::Mark,
                    source: Source::Field(Field::CtMark),
                },
            ],
        )
        .add_chain(
            &table,
            Chain::base("nat", Purpose::Nat, Hook::Postrouting, 100),
        );
    batch
}

pub(crate) fn egress(device: &str, mark: u32, mac: [u8; 6]) -> Batch {
    let table = Table::new(Family::Netdev, "weft");
    let hook = Hook::Egress(device.to_owned());
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_set(
            &table,
            &Set::map("mac", [Field::Mark], [Field::EtherDestination]),
        )
        .add_elements(
            &table,
            "mac",
            [Element::pair([Value::Number(mark)], [Value::Mac(mac)])],
        )
        .add_chain(&table, Chain::base("eg", Purpose::Filter, hook, 0))
        .add_rule(
            &table,
            "eg",
            [Expr::write_from_map(
                Target::EtherDestination,
                [Field::Mark],
                "mac",
            )],
        );
    batch
}

pub(crate) fn bridge_table() -> Table {
    Table::new(Family::Bridge, "weft")
}

pub(crate) fn bridge() -> Batch {
    let table = bridge_table();
    let mut batch = Batch::new();
    batch
        .replace_table(&table)
        .add_chain(
            &table,
            Chain::base("pre", Purpose::Filter, Hook::Prerouting, -300).dropping(),
        )
        .add_rule(&table, "pre", [Expr::iifname("vx*"), Expr::accept()]);
    let keys = [
        ("src4", Field::EtherSource, Field::Ip4Source),
        ("src6", Field::EtherSource, Field::Ip6Source),
        ("arp4", Field::ArpSenderEther, Field::ArpSenderIp4),
    ];
    for (name, ether, address) in keys {
        let key = [Field::InputName, ether, address];
        batch.add_set(&table, &Set::new(name, key)).add_rule(
            &table,
            "pre",
            [Expr::in_set(key, name), Expr::accept()],
        );
    }
    batch
}

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
        .add_rule(&table, "inp", [Expr::established(), Expr::accept()])
        .add_chain(&table, Chain::regular("eg"))
        .add_chain(&table, base("forw", Hook::Forward, 0).dropping())
        .add_rule(&table, "forw", [Expr::established(), Expr::accept()])
        .add_rule(
            &table,
            "forw",
            [
                Expr::one_of(Field::InputName, ["vxi", "host0"].map(ifname)),
                Expr::oifname("t*"),
                Expr::accept(),
            ],
        )
        .add_rule(
            &table,
            "forw",
            [
                Expr::iifname("t*"),
                Expr::oifname("host0"),
                Expr::jump("eg"),
            ],
        )
        .add_rule(
            &table,
            "eg",
            [
                Expr::in_set([Field::Ip4Destination], "nodes4"),
                Expr::in_set(service, "pub"),
                Expr::accept(),
            ],
        )
        .add_rule(
            &table,
            "eg",
            [
                Expr::in_set([Field::Ip4Destination], "nodes4"),
                Expr::Reject(Reject::HostUnreachable),
            ],
        )
        .add_rule(
            &table,
            "eg",
            [
                Expr::in_network(Field::Ip4Destination, v4("10.255.0.0").into(), 16),
                Expr::drop(),
            ],
        )
        .add_rule(
            &table,
            "eg",
            [Expr::in_set([Field::InputName], "egress"), Expr::accept()],
        );
    batch
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

pub(crate) fn ifname(name: &str) -> Value {
    Value::Ifname(name.to_owned())
}
