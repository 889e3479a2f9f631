use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::rr::RecordType;

use super::support::ip;
use super::support::question;
use super::support::table;
use crate::dns::DnsTable;
use crate::dns::Outcome;

fn addresses(outcome: &Outcome) -> Vec<IpAddr> {
    let Outcome::Answer(answer) = outcome else {
        panic!("no answer: {outcome:?}")
    };
    answer
        .records
        .iter()
        .map(|record| record.data.ip_addr().unwrap())
        .collect()
}

fn resolve(name: &str, kind: RecordType) -> Outcome {
    table().resolve(&question(name, kind), 0)
}

#[test]
fn a_service_name_stands_for_its_vip() {
    assert_eq!(addresses(&resolve("web", RecordType::A)), [ip("10.0.1.2")]);
}

#[test]
fn names_match_in_any_case_with_or_without_the_final_dot() {
    for name in ["WEB", "web.", "Web", "FRONT-END", "front-end."] {
        assert_eq!(
            addresses(&resolve(name, RecordType::A)),
            [ip("10.0.1.2")],
            "{name}"
        );
    }
}

#[test]
fn the_answer_repeats_the_name_as_it_was_asked() {
    let Outcome::Answer(answer) = resolve("wEb", RecordType::A) else {
        panic!()
    };
    assert_eq!(answer.records[0].name.to_ascii(), "wEb.");
    assert!(answer.records[0].ttl <= 5);
}

#[test]
fn tasks_of_a_service_are_all_its_healthy_tasks_in_turning_order() {
    let question = question("tasks.web", RecordType::A);
    let first: BTreeSet<IpAddr> = (0..5)
        .map(|rotation| {
            let all = addresses(&table().resolve(&question, rotation));
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5);
            all[0]
        })
        .collect();
    assert_eq!(first.len(), 5, "each task comes first once");
}

#[test]
fn any_rotation_is_safe() {
    for rotation in [usize::MAX, usize::MAX - 1, 7] {
        assert_eq!(
            addresses(&table().resolve(&question("web", RecordType::A), rotation)).len(),
            1
        );
        let sick = table().resolve(&question("sick", RecordType::A), rotation);
        assert_eq!(sick, Outcome::NoData);
    }
}

#[test]
fn a_known_name_without_records_of_the_type_is_empty_not_foreign() {
    let types = [
        RecordType::AAAA,
        RecordType::MX,
        RecordType::TXT,
        RecordType::HTTPS,
    ];
    for kind in types {
        assert_eq!(resolve("web", kind), Outcome::NoData, "{kind}");
    }
}

#[test]
fn a_service_without_healthy_tasks_is_empty_not_foreign() {
    assert_eq!(resolve("sick", RecordType::A), Outcome::NoData);
    assert_eq!(resolve("tasks.sick", RecordType::A), Outcome::NoData);
}

#[test]
fn dual_stack_services_answer_both_types() {
    assert_eq!(addresses(&resolve("six", RecordType::A)), [ip("10.0.1.3")]);
    assert_eq!(
        addresses(&resolve("six", RecordType::AAAA)),
        [ip("fd00::3")]
    );
    assert_eq!(addresses(&resolve("six", RecordType::ANY)).len(), 2);
}

#[test]
fn an_address_leads_back_to_its_name() {
    for (reverse, name) in [
        ("12.1.0.10.in-addr.arpa", "web.2."),
        ("2.1.0.10.in-addr.arpa", "web."),
        (
            "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
            "six.",
        ),
    ] {
        let Outcome::Answer(answer) = resolve(reverse, RecordType::PTR) else {
            panic!("{reverse}")
        };
        assert_eq!(answer.records[0].data.to_string(), name);
        assert_eq!(resolve(reverse, RecordType::A), Outcome::NoData);
    }
}

#[test]
fn reverse_names_of_our_subnets_and_of_loopback_stay_here() {
    for name in ["9.9.0.10.in-addr.arpa", "11.0.0.127.in-addr.arpa"] {
        assert_eq!(
            resolve(name, RecordType::PTR),
            Outcome::NoSuchName,
            "{name}"
        );
    }
    for name in [
        "8.8.8.8.in-addr.arpa",
        "0.10.in-addr.arpa",
        "x.in-addr.arpa",
        "arpa",
        ".",
    ] {
        assert_eq!(resolve(name, RecordType::PTR), Outcome::NotOurs, "{name}");
    }
}

#[test]
fn unknown_names_are_not_ours_but_tasks_of_an_unknown_service_do_not_exist() {
    for name in [
        "db",
        "example.com",
        "tasks.example.com",
        "web.example.com",
        "tasks",
    ] {
        assert_eq!(resolve(name, RecordType::A), Outcome::NotOurs, "{name}");
    }
    assert_eq!(resolve("tasks.gone", RecordType::A), Outcome::NoSuchName);
}

#[test]
fn srv_brings_the_port_and_the_addresses_of_the_targets() {
    let Outcome::Answer(answer) = resolve("_http._tcp.web", RecordType::SRV) else {
        panic!()
    };
    assert_eq!(answer.records.len(), 2);
    assert_eq!(answer.records[0].data.to_string(), "0 0 8000 web.1.");
    let additionals = answer
        .additionals
        .iter()
        .map(|record| record.data.ip_addr().unwrap());
    assert_eq!(
        additionals.collect::<Vec<_>>(),
        [ip("10.0.1.11"), ip("10.0.1.12")]
    );
}

#[test]
fn a_name_given_twice_has_the_addresses_of_both_once() {
    let mut builder = DnsTable::builder();
    builder
        .name("a", &[ip("10.0.0.1"), ip("10.0.0.2")])
        .unwrap();
    builder
        .name("A.", &[ip("10.0.0.2"), ip("10.0.0.3")])
        .unwrap();
    let table = builder.build();
    assert_eq!(table.len(), 1);
    let all = addresses(&table.resolve(&question("a", RecordType::A), 0));
    assert_eq!(all, [ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3")]);
}

#[test]
fn a_name_that_cannot_be_one_is_refused_and_leaves_the_rest() {
    let long = "x".repeat(64);
    let longer = ["a"; 130].join(".");
    let mut builder = DnsTable::builder();
    builder.name("good", &[]).unwrap();
    for bad in ["", ".", "a..b", ".a", "a\\.b", &long, &longer] {
        assert!(builder.name(bad, &[]).is_err(), "{bad:?}");
    }
    assert_eq!(builder.build().len(), 1);
}

#[test]
fn names_with_an_underscore_or_a_leading_digit_are_served() {
    let mut builder = DnsTable::builder();
    for name in ["my_stack_web", "1st", "my_stack_web.1.x7f"] {
        builder.task(name, &[ip("10.0.0.1")]).unwrap();
        let outcome = builder.build().resolve(&question(name, RecordType::A), 0);
        assert_eq!(addresses(&outcome), [ip("10.0.0.1")]);
    }
}
