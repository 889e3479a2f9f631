//! The notes nft keeps beside a set so that it can print `typeof ip daddr . numgen random mod 12`.
//!
//! The kernel stores them unread. Without them nft prints keys as bare integers, or crashes on
//! some; with them an administrator's `nft list ruleset` reads like the recipe.
//! The notes are a tree of (kind, length, value), one byte each for the first two.

use super::field::Base;
use super::field::Field;
use super::field::Load;

const EXPR_PAYLOAD: u32 = 7;
const EXPR_META: u32 = 9;
const EXPR_CT: u32 = 12;
const EXPR_CONCAT: u32 = 13;
const EXPR_NUMGEN: u32 = 23;

/// Notes for a set with this key, and this data when it is a map.
pub(super) fn notes(key: &[Field], value: Option<&[Field]>) -> Vec<u8> {
    let mut notes = Vec::new();
    number(&mut notes, 0, order(key));
    if let Some(value) = value {
        number(&mut notes, 1, order(value));
    }
    if let Some(tree) = concatenation(key) {
        put(&mut notes, 3, &tree);
    }
    if let Some(tree) = value.and_then(concatenation) {
        put(&mut notes, 4, &tree);
    }
    if value.is_some() {
        number(&mut notes, 6, 0);
    }
    notes
}

/// nft's number for a concatenation's type: six bits for each part.
pub(super) fn datatype(fields: &[Field]) -> u32 {
    fields
        .iter()
        .fold(0, |sum, field| sum << 6 | field.listing().datatype)
}

fn order(fields: &[Field]) -> u32 {
    match fields {
        [single] => single.listing().order,
        _ => 0,
    }
}

fn concatenation(fields: &[Field]) -> Option<Vec<u8>> {
    if let [single] = fields {
        return expression(*single);
    }
    let mut parts = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        put(&mut parts, u8::try_from(index).ok()?, &expression(*field)?);
    }
    Some(typed(EXPR_CONCAT, &parts))
}

fn expression(field: Field) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    let kind = match (field, field.load()) {
        (
            Field::Raw {
                base,
                offset,
                length,
            },
            _,
        ) => {
            number(&mut data, 0, 0);
            number(&mut data, 1, 0);
            number(&mut data, 2, 1 + base_number(base));
            number(&mut data, 3, u32::from(offset) * 8);
            number(&mut data, 4, u32::from(length) * 8);
            EXPR_PAYLOAD
        }
        (_, Load::Payload { .. }) => {
            let (header, member) = template(field)?;
            number(&mut data, 0, header);
            number(&mut data, 1, member);
            EXPR_PAYLOAD
        }
        (_, Load::Meta(key)) => {
            number(&mut data, 0, key);
            EXPR_META
        }
        (_, Load::Ct(key)) => {
            number(&mut data, 0, key);
            number(&mut data, 1, u32::MAX);
            EXPR_CT
        }
        (_, Load::Hash { modulus, .. }) => {
            number(&mut data, 0, 1);
            number(&mut data, 1, modulus);
            number(&mut data, 2, 0);
            EXPR_NUMGEN
        }
        (_, Load::Number { random, modulus }) => {
            number(&mut data, 0, u32::from(random));
            number(&mut data, 1, modulus);
            number(&mut data, 2, 0);
            EXPR_NUMGEN
        }
        (_, Load::Fib) => return None,
    };
    Some(typed(kind, &data))
}

/// nft's numbers of a header and of its member.
fn template(field: Field) -> Option<(u32, u32)> {
    Some(match field {
        Field::IcmpType => (4, 1),
        Field::SourcePort => (11, 1),
        Field::DestinationPort => (11, 2),
        Field::Ip4Source => (12, 11),
        Field::Ip4Destination => (12, 12),
        Field::Ip6Source => (13, 8),
        Field::Ip6Destination => (13, 9),
        Field::Icmpv6Type => (14, 1),
        Field::ArpSenderEther => (15, 6),
        Field::ArpSenderIp4 => (15, 7),
        Field::EtherDestination => (17, 1),
        Field::EtherSource => (17, 2),
        Field::InputName
        | Field::OutputName
        | Field::L4Protocol
        | Field::NfProtocol
        | Field::EtherType
        | Field::Mark
        | Field::CtMark
        | Field::CtZone
        | Field::CtState
        | Field::CtStatus
        | Field::CtDirection
        | Field::DestinationType
        | Field::Random(_)
        | Field::Turn(_)
        | Field::HashIp4Source(_)
        | Field::HashIp6Source(_)
        | Field::Raw { .. } => return None,
    })
}

/// The kernel's number of a base.
pub(super) fn base_number(base: Base) -> u32 {
    match base {
        Base::Link => 0,
        Base::Network => 1,
        Base::Transport => 2,
    }
}

fn typed(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut tree = Vec::new();
    number(&mut tree, 0, kind);
    put(&mut tree, 1, data);
    tree
}

fn number(into: &mut Vec<u8>, kind: u8, value: u32) {
    put(into, kind, &value.to_ne_bytes());
}

/// A part too long for its length byte is left out: the listing gets poorer, nothing else.
fn put(into: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if let Ok(length) = u8::try_from(value.len()) {
        into.extend([kind, length]);
        into.extend(value);
    }
}
