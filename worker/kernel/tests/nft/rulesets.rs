//! The data plane's rulesets, said through our API.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
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

pub(crate) fn ifname(name: &str) -> Value {
    Value::Ifname(name.to_owned())
}
