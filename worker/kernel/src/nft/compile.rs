//! From a rule's words to the kernel's expressions.
//!
//! The kernel has sixteen registers of four bytes. A rule's expressions are independent of each
//! other, so each starts again at the first register.

use super::depend::Known;
use super::expr::Destination;
use super::expr::Expr;
use super::expr::Reject;
use super::expr::Source;
use super::expr::Target;
use super::expr::Verdict;
use super::field::Base;
use super::field::Field;
use super::field::Load;
use super::field::Needs;
use super::object::Family;
use super::typeof_key::base_number;
use super::value::Value;
use super::wire::Wire;

const LIST_ELEMENT: u16 = 1;
/// The first of the four-byte registers.
pub(super) const FIRST: u32 = 8;
/// Four-byte registers there are.
const REGISTERS: usize = 16;
/// Name of an anonymous set: the kernel fills in the number.
pub(super) const ANONYMOUS: &str = "__set%d";

/// Writes one rule's expressions.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) family: Family,
    pub(super) known: Known,
    /// Ids of the anonymous sets this rule uses, in order.
    sets: std::vec::IntoIter<u32>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(wire: &'a mut Wire, family: Family, sets: Vec<u32>) -> Self {
        Self {
            wire,
            family,
            known: Known::default(),
            sets: sets.into_iter(),
        }
    }

    pub(super) fn rule(&mut self, exprs: &[Expr]) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Compare {
                field,
                mask,
                differs,
                bytes,
            } => {
                self.load(&[*field]);
                if let Some(mask) = mask {
                    self.mask(mask);
                }
                self.compare(*differs, bytes);
                if mask.is_none() && !differs {
                    self.learn(*field, bytes);
                }
            }
            Expr::AnyBit { field, bits } => {
                self.load(&[*field]);
                self.mask(&bits.to_ne_bytes());
                self.compare(true, &[0; 4]);
            }
            Expr::OneOf { field, .. } => {
                self.load(&[*field]);
                let id = self.sets.next();
                self.lookup(ANONYMOUS, id, false, false);
            }
            Expr::InSet { key, set, absent } => {
                self.load(key);
                self.lookup(set, None, *absent, false);
            }
            Expr::Write { target, source } => {
                if matches!(target, Target::EtherDestination | Target::EtherSource) {
                    self.require(Needs::Ethernet);
                }
                match source {
                    Source::Value(value) => self.immediate(FIRST, value),
                    Source::Field(field) => {
                        self.load(&[*field]);
                    }
                    Source::Map { key, map } => {
                        self.load(key);
                        self.lookup(map, None, false, true);
                    }
                }
                self.write(*target);
            }
            Expr::Dnat(destination) => self.dnat(destination),
            Expr::Redirect(port) => {
                if let Some(port) = port {
                    self.immediate(FIRST, &Value::Port(*port));
                }
                self.emit("redir", |wire| {
                    if port.is_some() {
                        wire.number(1, FIRST);
                    }
                });
            }
            Expr::Masquerade => self.emit("masq", |_| {}),
            Expr::Reject(reject) => self.reject(*reject),
            Expr::Counter => self.emit("counter", |_| {}),
            Expr::Notrack => self.emit("notrack", |_| {}),
            Expr::Verdict(verdict) => self.verdict(verdict),
            Expr::Impossible(why) => self.wire.fault(why.clone()),
        }
    }

    /// Loads fields side by side, beginning with the first register.
    fn load(&mut self, fields: &[Field]) {
        for field in fields {
            self.require(field.needs());
        }
        let mut register = FIRST;
        let mut used = 0;
        for field in fields {
            used += field.width().div_ceil(4);
            if used > REGISTERS {
                self.wire
                    .fault("a key is wider than the kernel's registers".to_owned());
                return;
            }
            self.load_one(*field, register);
            register = FIRST + u32::try_from(used).unwrap_or(u32::MAX);
        }
    }

    fn load_one(&mut self, field: Field, register: u32) {
        match field.load() {
            Load::Payload { base, offset } => self.emit("payload", |wire| {
                wire.number(1, register);
                wire.number(2, base_number(base));
                wire.number(3, offset);
                wire.number(4, u32::try_from(field.width()).unwrap_or(u32::MAX));
            }),
            Load::Meta(key) => self.emit("meta", |wire| {
                wire.number(2, key);
                wire.number(1, register);
            }),
            Load::Ct(key) => self.emit("ct", |wire| {
                wire.number(2, key);
                wire.number(1, register);
            }),
            Load::Fib => self.emit("fib", |wire| {
                wire.number(1, register);
                wire.number(2, 3); // the address's type
                wire.number(3, 1 << 1); // of the destination
            }),
            Load::Number { random, modulus } => self.emit("numgen", |wire| {
                wire.number(1, register);
                wire.number(2, modulus);
                wire.number(3, u32::from(random));
                wire.number(4, 0);
            }),
            Load::Hash { of, modulus } => {
                self.load_one(*of, register);
                self.emit("hash", |wire| {
                    wire.number(1, register);
                    wire.number(2, register);
                    wire.number(3, u32::try_from(of.width()).unwrap_or(u32::MAX));
                    wire.number(4, modulus);
                    wire.number(7, 0); // jenkins
                });
            }
        }
    }

    fn mask(&mut self, mask: &[u8]) {
        self.emit("bitwise", |wire| {
            wire.number(1, FIRST);
            wire.number(2, FIRST);
            wire.number(3, u32::try_from(mask.len()).unwrap_or(u32::MAX));
            wire.nest(4, |wire| wire.bytes(1, mask));
            wire.nest(5, |wire| wire.bytes(1, &vec![0; mask.len()]));
        });
    }

    pub(super) fn compare(&mut self, differs: bool, bytes: &[u8]) {
        self.emit("cmp", |wire| {
            wire.number(1, FIRST);
            wire.number(2, u32::from(differs));
            wire.nest(3, |wire| wire.bytes(1, bytes));
        });
    }

    fn lookup(&mut self, set: &str, id: Option<u32>, absent: bool, map: bool) {
        self.emit("lookup", |wire| {
            wire.text(1, set);
            wire.number(2, FIRST);
            if map {
                wire.number(3, FIRST);
            }
            if let Some(id) = id {
                wire.number(4, id);
            }
            if absent {
                wire.number(5, 1);
            }
        });
    }

    fn immediate(&mut self, register: u32, value: &Value) {
        self.emit("immediate", |wire| {
            wire.number(1, register);
            wire.nest(2, |wire| wire.bytes(1, &value.encode()));
        });
    }

    fn write(&mut self, target: Target) {
        match target {
            Target::Mark => self.emit("meta", |wire| {
                wire.number(2, 3);
                wire.number(3, FIRST);
            }),
            Target::CtMark => self.emit("ct", |wire| {
                wire.number(2, 3);
                wire.number(4, FIRST);
            }),
            Target::CtOriginalZone => self.emit("ct", |wire| {
                wire.number(2, 17);
                wire.bytes(3, &[0]);
                wire.number(4, FIRST);
            }),
            Target::EtherDestination => self.write_link(0),
            Target::EtherSource => self.write_link(6),
        }
    }

    fn write_link(&mut self, offset: u32) {
        self.emit("payload", |wire| {
            wire.number(5, FIRST);
            wire.number(2, base_number(Base::Link));
            wire.number(3, offset);
            wire.number(4, 6);
            wire.number(6, 0); // no checksum covers a link-layer address
            wire.number(7, 0);
            wire.number(8, 0);
        });
    }

    fn dnat(&mut self, destination: &Destination) {
        let (v6, port) = match destination {
            Destination::Fixed(address, port) => (address.is_ipv6(), port.is_some()),
            Destination::Map { v6, port, .. } => (*v6, *port),
        };
        self.require(if v6 { Needs::Ip6 } else { Needs::Ip4 });
        let second = FIRST + if v6 { 4 } else { 1 };
        match destination {
            Destination::Fixed(address, port) => {
                self.immediate(FIRST, &Value::from(*address));
                if let Some(port) = port {
                    self.immediate(second, &Value::Port(*port));
                }
            }
            Destination::Map { key, map, .. } => {
                self.load(key);
                self.lookup(map, None, false, true);
            }
        }
        self.emit("nat", |wire| {
            wire.number(1, 1); // destination
            wire.number(2, if v6 { 10 } else { 2 });
            wire.number(3, FIRST);
            if port {
                wire.number(5, second);
            }
        });
    }

    fn reject(&mut self, reject: Reject) {
        let (kind, code) = match reject {
            Reject::TcpReset => {
                self.require_l4(6);
                (1, 0)
            }
            Reject::IcmpHostUnreachable => {
                self.require(Needs::Ip4);
                (0, 1)
            }
            Reject::Icmpv6AddressUnreachable => {
                self.require(Needs::Ip6);
                (0, 3)
            }
            Reject::HostUnreachable => (2, 2),
            Reject::PortUnreachable => (2, 1),
        };
        self.emit("reject", |wire| {
            wire.number(1, kind);
            wire.bytes(2, &[code]);
        });
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let (code, chain): (i32, Option<&str>) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
            Verdict::Goto(chain) => (-4, Some(chain)),
            Verdict::Return => (-5, None),
        };
        self.emit("immediate", |wire| {
            wire.number(1, 0);
            wire.nest(2, |wire| {
                wire.nest(2, |wire| {
                    wire.bytes(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        wire.text(2, chain);
                    }
                });
            });
        });
    }

    pub(super) fn emit(&mut self, name: &str, data: impl FnOnce(&mut Wire)) {
        self.wire.nest(LIST_ELEMENT, |wire| {
            wire.text(1, name);
            wire.nest(2, data);
        });
    }
}
