//! The codec without a kernel.

use super::Batch;
use super::Element;
use super::Expr;
use super::Family;
use super::Field;
use super::NftError;
use super::Set;
use super::Step;
use super::Table;
use super::Value;
use super::encode::encode;
use super::typeof_key;
use super::wire;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

fn table() -> Table {
    Table::new(Family::Ip, "w")
}

fn mask(expr: Expr) -> (Vec<u8>, Vec<u8>) {
    let Expr::Compare {
        mask: Some(mask),
        bytes,
        ..
    } = expr
    else {
        panic!("{expr:?}")
    };
    (mask, bytes)
}

#[test]
fn networks_are_cut_at_their_prefix() {
    let network = |prefix| {
        mask(Expr::in_network(
            Field::Ip4Source,
            Ipv4Addr::new(10, 255, 7, 9).into(),
            prefix,
        ))
    };
    assert_eq!(network(0), (vec![0; 4], vec![0; 4]));
    assert_eq!(network(10), (vec![0xff, 0xc0, 0, 0], vec![10, 0xc0, 0, 0]));
    assert_eq!(network(32), (vec![0xff; 4], vec![10, 255, 7, 9]));
    let (mask, bytes) = mask(Expr::in_network(
        Field::Ip6Source,
        Ipv6Addr::LOCALHOST.into(),
        127,
    ));
    assert_eq!((mask[15], bytes[15]), (0xfe, 0));
}

#[test]
fn only_the_last_step_with_something_to_say_is_confirmed() {
    let mut batch = Batch::new();
    batch
        .add_table(&table())
        .delete_table(&table())
        .push(Step::AddElements(table(), "be".to_owned(), Vec::new()));
    let encoded = encode(&batch, 7).unwrap();
    let flags: Vec<(u32, bool)> = wire::messages(&encoded.bytes)
        .map(|message| (message.seq, message.flags & wire::ACK != 0))
        .collect();
    assert_eq!(flags, [(7, false), (8, false), (9, true), (10, false)]);
    assert_eq!((encoded.last_seq, encoded.owners), (9, vec![0, 1]));
}

#[test]
fn elements_of_the_widest_kind_fit_their_messages() {
    let wide = Value::Bytes(vec![7; 64]);
    let element = Element::pair([wide.clone()], [wide]);
    let mut batch = Batch::new();
    batch.add_elements(&table(), "be", vec![element; 1000]);
    let encoded = encode(&batch, 1).unwrap();
    assert_eq!(encoded.owners, [0, 0, 0]);
    let found: usize = wire::messages(&encoded.bytes)
        .filter_map(|message| message.object())
        .filter_map(|(_, attributes)| attributes.nested(3))
        .map(Iterator::count)
        .sum();
    assert_eq!(found, 1000);
}

#[test]
fn what_exceeds_an_attribute_is_refused_with_its_step() {
    let mut batch = Batch::new();
    batch
        .add_table(&table())
        .flush_set(&table(), &"x".repeat(70_000));
    let error = encode(&batch, 1).unwrap_err();
    assert!(
        matches!(error, NftError::Impossible { step: 1, .. }),
        "{error:?}"
    );
}

#[test]
fn cut_off_answers_end_the_reading_without_harm() {
    let mut batch = Batch::new();
    batch
        .add_table(&table())
        .add_set(&table(), &Set::new("vips", [Field::Ip4Destination]));
    let bytes = encode(&batch, 1).unwrap().bytes;
    for length in 0..bytes.len() {
        for message in wire::messages(&bytes[..length]) {
            if let Some((_, attributes)) = message.object() {
                assert!(attributes.count() <= 7);
            }
        }
    }
    assert_eq!(wire::messages(&bytes).count(), 4);
}

#[test]
fn fields_read_back_what_values_wrote() {
    let key = [
        (Field::InputName, Value::Ifname("p1".to_owned())),
        (Field::EtherSource, Value::Mac([2, 0, 0, 0, 0, 9])),
        (Field::Ip6Source, Value::Ip6(Ipv6Addr::LOCALHOST)),
        (Field::Ip4Source, Value::Ip4(Ipv4Addr::LOCALHOST)),
        (Field::DestinationPort, Value::Port(8080)),
        (Field::L4Protocol, Value::TCP),
        (Field::Random(12), Value::Number(11)),
        (Field::CtZone, Value::Zone(300)),
    ];
    let (fields, values): (Vec<Field>, Vec<Value>) = key.into_iter().unzip();
    let bytes = super::value::concatenate(&values);
    assert_eq!(bytes.len(), super::field::width(&fields));
    assert_eq!(super::field::split(&fields, &bytes), Some(values));
}

/// The bytes nft 1.0.6 itself writes for `typeof ip daddr . numgen random mod 12 : ip daddr`,
/// on a little-endian machine.
#[test]
#[cfg(target_endian = "little")]
fn notes_are_those_of_the_nft_program() {
    let notes = typeof_key::notes(
        &[Field::Ip4Destination, Field::Random(12)],
        Some(&[Field::Ip4Destination]),
    );
    let expected: &[&[u8]] = &[
        &[0, 4, 0, 0, 0, 0, 1, 4, 2, 0, 0, 0],
        &[3, 58, 0, 4, 13, 0, 0, 0, 1, 50],
        &[
            0, 20, 0, 4, 7, 0, 0, 0, 1, 12, 0, 4, 12, 0, 0, 0, 1, 4, 12, 0, 0, 0,
        ],
        &[1, 26, 0, 4, 23, 0, 0, 0, 1, 18],
        &[0, 4, 1, 0, 0, 0, 1, 4, 12, 0, 0, 0, 2, 4, 0, 0, 0, 0],
        &[
            4, 20, 0, 4, 7, 0, 0, 0, 1, 12, 0, 4, 12, 0, 0, 0, 1, 4, 12, 0, 0, 0,
        ],
        &[6, 4, 0, 0, 0, 0],
    ];
    assert_eq!(notes, expected.concat());
}

#[test]
fn steps_read_like_nft_commands() {
    let mut batch = Batch::new();
    batch
        .ensure_no_table(&table())
        .add_set(
            &table(),
            &Set::map("be", [Field::Mark], [Field::EtherDestination]),
        )
        .add_rule(&table(), "out", [Expr::accept()])
        .delete_elements(&table(), "be", [Element::key([Value::Number(1)])]);
    let words: Vec<String> = batch.steps().iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "add table ip w",
            "delete table ip w",
            "add map ip w be",
            "add rule ip w out",
            "delete 1 elements from ip w be"
        ]
    );
}
