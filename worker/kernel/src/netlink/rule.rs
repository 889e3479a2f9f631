//! Policy rules: which packets are looked up in which table.

use std::fmt;

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::rule::RuleAction;
use rtnetlink::packet_route::rule::RuleAttribute;
use rtnetlink::packet_route::rule::RuleMessage;

use super::Family;
use super::Netlink;
use super::NetlinkError;
use super::Operation;
use super::PROTOCOL_OURS;
use super::collect;
use super::route_message::family_of;
use super::settled;

/// A rule of ours: packets that carry a mark, come from a subnet, or both, are looked up in `table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The family it is for.
    pub family: Family,
    /// Rules are tried in this order, least first; the main table's is 32766. Required, because it
    /// is what makes adding a rule twice harmless.
    pub priority: u32,
    /// The mark and the bits of it that count.
    pub mark: Option<(u32, u32)>,
    /// The subnet of the source address.
    pub source: Option<IpNet>,
    /// The table to look in.
    pub table: u32,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.priority, self.family)?;
        if let Some((mark, mask)) = self.mark {
            write!(f, " mark {mark:#x}/{mask:#x}")?;
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        write!(f, " lookup {}", self.table)
    }
}

impl Netlink {
    /// Adds a rule; one that is there already is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn add_rule(&self, rule: &Rule) -> Result<(), NetlinkError> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = write(rule);
        let answer = settled(request.execute().await, &[Errno::EEXIST]);
        self.judge(
            || Operation::AddRule {
                rule: Box::new(*rule),
            },
            answer,
        )
    }

    /// Deletes a rule. Absent is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_rule(&self, rule: &Rule) -> Result<(), NetlinkError> {
        let answer = self.handle.rule().del(write(rule)).execute().await;
        let answer = settled(answer, &[Errno::ENOENT]);
        self.judge(
            || Operation::DeleteRule {
                rule: Box::new(*rule),
            },
            answer,
        )
    }

    /// Our rules, both families.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn rules(&self) -> Result<Vec<Rule>, NetlinkError> {
        let mut found = Vec::new();
        for (family, version) in [(Family::V4, IpVersion::V4), (Family::V6, IpVersion::V6)] {
            let answer = collect(self.handle.rule().get(version).execute()).await;
            let messages = self.judge(|| Operation::ListRules, answer)?;
            found.extend(messages.iter().filter_map(|message| read(family, message)));
        }
        Ok(found)
    }
}

fn write(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(rule.family);
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Priority(rule.priority),
        RuleAttribute::Table(rule.table),
        RuleAttribute::Protocol(PROTOCOL_OURS.into()),
    ];
    if let Some((mark, mask)) = rule.mark {
        message.attributes.push(RuleAttribute::FwMark(mark));
        message.attributes.push(RuleAttribute::FwMask(mask));
    }
    if let Some(source) = rule.source {
        message.header.src_len = source.prefix_len();
        message
            .attributes
            .push(RuleAttribute::Source(source.network()));
    }
    message
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "our rules use no other attributes"
)]
fn read(family: Family, message: &RuleMessage) -> Option<Rule> {
    let mut rule = Rule {
        family,
        priority: 0,
        mark: None,
        source: None,
        table: u32::from(message.header.table),
    };
    let (mut mark, mut mask, mut ours) = (0, 0, false);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::FwMark(bits) => mark = *bits,
            RuleAttribute::FwMask(bits) => mask = *bits,
            RuleAttribute::Source(ip) => {
                rule.source = IpNet::new(*ip, message.header.src_len).ok();
            }
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL_OURS,
            _ => {}
        }
    }
    rule.mark = (mask != 0).then_some((mark, mask));
    ours.then_some(rule)
}
