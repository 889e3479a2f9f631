//! From a batch to the messages of one transaction.

use super::batch::Batch;
use super::compile::ANONYMOUS;
use super::compile::Compiler;
use super::error::NftError;
use super::expr::Expr;
use super::field;
use super::field::Field;
use super::object::Attachment;
use super::object::Chain;
use super::object::Element;
use super::object::Hook;
use super::object::Policy;
use super::object::Purpose;
use super::object::Set;
use super::object::Table;
use super::step::Step;
use super::typeof_key;
use super::value::concatenate;
use super::wire;
use super::wire::Header;
use super::wire::Wire;

/// nftables' number among the netfilter subsystems; the high byte of a message's kind.
pub(super) const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

pub(super) const NEW_TABLE: u16 = 0;
pub(super) const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
pub(super) const GET_CHAIN: u16 = 4;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
pub(super) const GET_SET: u16 = 10;
const DELETE_SET: u16 = 11;
const NEW_ELEMENTS: u16 = 12;
pub(super) const GET_ELEMENTS: u16 = 13;
const DELETE_ELEMENTS: u16 = 14;

/// Elements per message. An attribute holds at most 64 KiB, and the widest element here (a key
/// and data of 64 bytes each, with their headers) takes under 160 bytes.
const ELEMENTS_PER_MESSAGE: usize = 400;
/// The kernel keeps no more notes than this for an object.
const NOTES_MAX: usize = 256;
/// Longest comment nft shows, without its end mark.
const COMMENT_MAX: usize = 127;

/// A batch ready to be sent.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// For every message after the opening one, the step it belongs to.
    pub(super) owners: Vec<usize>,
    /// Number of the opening message; the others follow.
    pub(super) first_seq: u32,
    /// Number of the last message that changes something; only it is confirmed.
    pub(super) last_seq: u32,
}

/// Encodes a batch whose messages are numbered from `first_seq`.
pub(super) fn encode(batch: &Batch, first_seq: u32) -> Result<Encoded, NftError> {
    let mut encoder = Encoder {
        wire: Wire::default(),
        seq: first_seq,
        owners: Vec::new(),
        step: 0,
        last_step: 0,
        set_id: 0,
    };
    encoder.edge(BATCH_BEGIN);
    let last_step = batch
        .steps()
        .iter()
        .rposition(|step| !is_void(step))
        .unwrap_or_default();
    for (index, step) in batch.steps().iter().enumerate() {
        encoder.step = index;
        encoder.last_step = last_step;
        encoder.step(step);
        if encoder.wire.faulty() {
            break;
        }
    }
    let last_seq = encoder.seq.wrapping_sub(1);
    encoder.edge(BATCH_END);
    let step = encoder.step;
    let (owners, wire) = (encoder.owners, encoder.wire);
    match wire.finish() {
        Ok(bytes) => Ok(Encoded {
            bytes,
            owners,
            first_seq,
            last_seq,
        }),
        Err(reason) => Err(NftError::Impossible {
            step,
            object: batch
                .steps()
                .get(step)
                .map(ToString::to_string)
                .unwrap_or_default(),
            reason,
        }),
    }
}

/// Whether a step has nothing to say, so that no message comes of it.
fn is_void(step: &Step) -> bool {
    matches!(
        step,
        Step::AddElements(_, _, elements) | Step::DeleteElements(_, _, elements)
            if elements.is_empty()
    )
}

struct Encoder {
    wire: Wire,
    seq: u32,
    owners: Vec<usize>,
    step: usize,
    last_step: usize,
    /// Sets are numbered within a transaction, so that rules find sets that have no name yet.
    set_id: u32,
}

impl Encoder {
    fn next_seq(&mut self) -> u32 {
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        seq
    }

    fn edge(&mut self, kind: u16) {
        let seq = self.next_seq();
        let (flags, resource) = (wire::REQUEST, SUBSYSTEM);
        self.wire.message(
            Header {
                kind,
                flags,
                seq,
                family: 0,
                resource,
            },
            |_| {},
        );
    }

    /// Writes one message of the current step. Every message of the last step asks for
    /// confirmation: the last of them then tells that the transaction took effect. Confirming
    /// all would flood the socket when a batch has thousands.
    fn message(&mut self, kind: u16, flags: u16, table: &Table, body: impl FnOnce(&mut Wire)) {
        self.owners.push(self.step);
        let confirm = if self.step == self.last_step {
            wire::ACK
        } else {
            0
        };
        let header = Header {
            kind: SUBSYSTEM << 8 | kind,
            flags: wire::REQUEST | flags | confirm,
            seq: self.next_seq(),
            family: table.family.number(),
            resource: 0,
        };
        self.wire.message(header, |wire| {
            wire.text(1, &table.name);
            body(wire);
        });
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::AddTable(table) => self.message(NEW_TABLE, wire::CREATE, table, |_| {}),
            Step::DeleteTable(table) => self.message(DELETE_TABLE, 0, table, |_| {}),
            Step::FlushTable(table) => self.message(DELETE_RULE, 0, table, |_| {}),
            Step::AddChain(table, chain) => {
                self.message(NEW_CHAIN, wire::CREATE, table, |wire| {
                    add_chain(wire, chain)
                });
            }
            Step::DeleteChain(table, chain) => {
                self.message(DELETE_CHAIN, 0, table, |wire| wire.text(3, chain));
            }
            Step::FlushChain(table, chain) => {
                self.message(DELETE_RULE, 0, table, |wire| wire.text(2, chain));
            }
            Step::AddRule {
                table,
                chain,
                exprs,
                comment,
            } => {
                self.add_rule(table, chain, exprs, comment.as_deref());
            }
            Step::AddSet(table, set) => {
                self.set_id += 1;
                let id = self.set_id;
                self.message(NEW_SET, wire::CREATE, table, |wire| add_set(wire, set, id));
            }
            Step::DeleteSet(table, set) => {
                self.message(DELETE_SET, 0, table, |wire| wire.text(2, set));
            }
            Step::FlushSet(table, set) => {
                self.message(DELETE_ELEMENTS, 0, table, |wire| wire.text(2, set));
            }
            Step::AddElements(table, set, elements) => {
                self.elements(NEW_ELEMENTS, wire::CREATE, table, (set, None), elements);
            }
            Step::DeleteElements(table, set, elements) => {
                self.elements(DELETE_ELEMENTS, 0, table, (set, None), elements);
            }
        }
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        table: &Table,
        (set, id): (&str, Option<u32>),
        elements: &[Element],
    ) {
        for chunk in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.message(kind, flags, table, |wire| {
                wire.text(2, set);
                if let Some(id) = id {
                    wire.number(4, id);
                }
                wire.nest(3, |wire| {
                    for element in chunk {
                        wire.nest(1, |wire| add_element(wire, element, kind == NEW_ELEMENTS));
                    }
                });
            });
        }
    }

    fn add_rule(&mut self, table: &Table, chain: &str, exprs: &[Expr], comment: Option<&str>) {
        let mut ids = Vec::new();
        for expr in exprs {
            if let Expr::OneOf { field, values } = expr {
                ids.push(self.anonymous_set(table, *field, values));
            }
        }
        let family = table.family;
        self.message(NEW_RULE, wire::CREATE | wire::APPEND, table, |wire| {
            wire.text(2, chain);
            wire.nest(4, |wire| Compiler::new(wire, family, ids).rule(exprs));
            if let Some(comment) = comment {
                match u8::try_from(comment.len() + 1) {
                    Ok(length) if comment.len() <= COMMENT_MAX => {
                        let notes = [&[0, length], comment.as_bytes(), &[0]].concat();
                        wire.bytes(7, &notes);
                    }
                    _ => wire.fault("a comment exceeds 127 bytes".to_owned()),
                }
            }
        });
    }

    fn anonymous_set(
        &mut self,
        table: &Table,
        field: Field,
        values: &[super::value::Value],
    ) -> u32 {
        self.set_id += 1;
        let id = self.set_id;
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        self.message(NEW_SET, wire::CREATE, table, |wire| {
            wire.text(2, ANONYMOUS);
            wire.number(3, 0x1 | 0x2); // anonymous, constant
            key_shape(wire, &[field]);
            wire.number(10, id);
            wire.nest(9, |wire| wire.number(1, count));
            wire.bytes(13, &typeof_key::notes(&[field], None));
        });
        let elements: Vec<Element> = values
            .iter()
            .map(|value| Element::key(vec![value.clone()]))
            .collect();
        self.elements(
            NEW_ELEMENTS,
            wire::CREATE,
            table,
            (ANONYMOUS, Some(id)),
            &elements,
        );
        id
    }
}

fn add_element(wire: &mut Wire, element: &Element, with_data: bool) {
    if let Some(fault) = element
        .key
        .iter()
        .chain(&element.value)
        .find_map(|value| value.fault())
    {
        wire.fault(fault);
    }
    wire.nest(1, |wire| wire.bytes(1, &concatenate(&element.key)));
    if with_data && !element.value.is_empty() {
        wire.nest(2, |wire| wire.bytes(1, &concatenate(&element.value)));
    }
}

fn key_shape(wire: &mut Wire, key: &[Field]) {
    wire.number(4, typeof_key::datatype(key));
    wire.number(5, u32::try_from(field::width(key)).unwrap_or(u32::MAX));
}

fn add_set(wire: &mut Wire, set: &Set, id: u32) {
    wire.text(2, &set.name);
    wire.number(3, if set.value.is_some() { 0x8 } else { 0 });
    key_shape(wire, &set.key);
    if let Some(value) = &set.value {
        wire.number(6, typeof_key::datatype(value));
        wire.number(7, u32::try_from(field::width(value)).unwrap_or(u32::MAX));
    }
    wire.number(10, id);
    let notes = typeof_key::notes(&set.key, set.value.as_deref());
    if notes.len() <= NOTES_MAX {
        wire.bytes(13, &notes);
    }
}

fn add_chain(wire: &mut Wire, chain: &Chain) {
    wire.text(3, &chain.name);
    let Some(Attachment {
        purpose,
        hook,
        priority,
        policy,
    }) = &chain.attachment
    else {
        return;
    };
    let (number, device) = match hook {
        Hook::Prerouting => (0, None),
        Hook::Input => (1, None),
        Hook::Forward => (2, None),
        Hook::Output => (3, None),
        Hook::Postrouting => (4, None),
        Hook::Ingress(device) => (0, Some(device)),
        Hook::Egress(device) => (1, Some(device)),
    };
    wire.nest(4, |wire| {
        wire.number(1, number);
        wire.bytes(2, &priority.to_be_bytes());
        if let Some(device) = device {
            wire.text(3, device);
        }
    });
    wire.number(5, u32::from(*policy == Policy::Accept));
    wire.text(
        7,
        match purpose {
            Purpose::Filter => "filter",
            Purpose::Nat => "nat",
            Purpose::Route => "route",
        },
    );
}
