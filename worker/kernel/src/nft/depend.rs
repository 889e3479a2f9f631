//! What must hold before a field is read: the checks a rule's author need not write.
//!
//! In a table that sees several protocols, the bytes where an IPv4 address would be are part of
//! something else in an IPv6 packet.

use super::compile::Compiler;
use super::compile::FIRST;
use super::field::Field;
use super::field::Needs;
use super::object::Family;

/// What is already known about packets that got this far in a rule.
#[derive(Debug, Default)]
pub(super) struct Known {
    nfproto: Option<u8>,
    ethertype: Option<u16>,
    l4: Option<u8>,
    ethernet: bool,
}

impl Compiler<'_> {
    /// Checks what a field takes for granted, unless it is known by now.
    pub(super) fn require(&mut self, needs: Needs) {
        match needs {
            Needs::Nothing => {}
            Needs::Ethernet => {
                let always = matches!(self.family, Family::Bridge) || self.known.ethernet;
                if !always {
                    self.known.ethernet = true;
                    self.check_meta(8, &1_u16.to_ne_bytes());
                }
            }
            Needs::Ip4 => self.require_l3(2, 0x0800),
            Needs::Ip6 => self.require_l3(10, 0x86dd),
            Needs::Arp => self.require_ethertype(0x0806),
            Needs::Icmp => {
                self.require_l3(2, 0x0800);
                self.require_l4(1);
            }
            Needs::Icmpv6 => {
                self.require_l3(10, 0x86dd);
                self.require_l4(58);
            }
        }
    }

    fn require_l3(&mut self, nfproto: u8, ethertype: u16) {
        match self.family {
            Family::Ip | Family::Ip6 => {
                if self.family.number() != nfproto {
                    let family = self.family;
                    self.wire
                        .fault(format!("a table of family {family} never sees this header"));
                }
            }
            Family::Inet => {
                if self.known.nfproto != Some(nfproto) {
                    self.known.nfproto = Some(nfproto);
                    self.check_meta(15, &[nfproto]);
                }
            }
            Family::Bridge | Family::Netdev => self.require_ethertype(ethertype),
        }
    }

    fn require_ethertype(&mut self, ethertype: u16) {
        match self.family {
            Family::Bridge | Family::Netdev => {
                if self.known.ethertype != Some(ethertype) {
                    self.known.ethertype = Some(ethertype);
                    self.check_meta(1, &ethertype.to_be_bytes());
                }
            }
            Family::Ip | Family::Ip6 | Family::Inet => {
                let family = self.family;
                self.wire
                    .fault(format!("a table of family {family} never sees this header"));
            }
        }
    }

    pub(super) fn require_l4(&mut self, protocol: u8) {
        if self.known.l4 != Some(protocol) {
            self.known.l4 = Some(protocol);
            self.check_meta(16, &[protocol]);
        }
    }

    fn check_meta(&mut self, key: u32, bytes: &[u8]) {
        self.emit("meta", |wire| {
            wire.number(2, key);
            wire.number(1, FIRST);
        });
        self.compare(false, bytes);
    }

    /// Takes note of what an explicit condition has established.
    pub(super) fn learn(&mut self, field: Field, bytes: &[u8]) {
        match (field, bytes) {
            (Field::NfProtocol, [protocol]) => self.known.nfproto = Some(*protocol),
            (Field::L4Protocol, [protocol]) => self.known.l4 = Some(*protocol),
            (Field::EtherType, [high, low]) => {
                self.known.ethertype = Some(u16::from_be_bytes([*high, *low]));
            }
            _ => {}
        }
    }
}
