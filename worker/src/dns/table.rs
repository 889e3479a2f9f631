//! What one task can see, as plain data; the decision about a question is a pure function of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use hickory_proto::op::Query;
use hickory_proto::rr::LowerName;
use hickory_proto::rr::Name;
use hickory_proto::rr::RData;
use hickory_proto::rr::Record;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::rdata::AAAA;
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::rdata::SRV;
use ipnet::IpNet;

use super::builder::DnsTableBuilder;

/// Everything known about one name. A name with no address is still ours: a service whose tasks
/// are all unhealthy is answered with an empty set, never asked of the internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) v4: Vec<Ipv4Addr>,
    pub(super) v6: Vec<Ipv6Addr>,
    pub(super) srv: Vec<SRV>,
    pub(super) ttl: u32,
}

/// The names one task can see. Immutable: a change is a new table, swapped into the server whole,
/// so that no query ever meets half an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsTable {
    pub(super) names: HashMap<LowerName, Entry>,
    pub(super) reverse: HashMap<IpAddr, Vec<Name>>,
    pub(super) own_subnets: Vec<IpNet>,
    pub(super) ttl: u32,
}

/// What to do with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ours, with records of the type asked for.
    Answer(Answer),
    /// Ours, but it has no record of that type: an empty success.
    NoData,
    /// In a name or address space that is ours alone, and not there.
    NoSuchName,
    /// Not ours: to be forwarded, if this task may.
    NotOurs,
}

/// The records of a positive answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Owner is the name as it was asked, upper and lower case kept (clients compare it).
    pub records: Vec<Record>,
    /// Addresses of the targets of SRV records, so that one question is enough.
    pub additionals: Vec<Record>,
}

impl DnsTable {
    /// An empty builder with the default TTL.
    pub fn builder() -> DnsTableBuilder {
        DnsTableBuilder::new()
    }

    /// Number of names the table answers for, reverse names not counted.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the table answers for no name at all.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Decides one question. `rotation` turns the order of the addresses; a caller that counts
    /// its queries spreads clients that always take the first address.
    pub fn resolve(&self, question: &Query, rotation: usize) -> Outcome {
        let key = LowerName::new(question.name());
        if let Some(entry) = self.names.get(&key) {
            return self.answer_from(entry, question, rotation);
        }
        if is_tasks_name(&key) {
            return Outcome::NoSuchName;
        }
        self.resolve_reverse(question)
    }

    fn answer_from(&self, entry: &Entry, question: &Query, rotation: usize) -> Outcome {
        let wanted = question.query_type();
        let any = wanted == RecordType::ANY;
        let mut records = Vec::with_capacity(entry.v4.len());
        let mut additionals = Vec::new();
        if any || wanted == RecordType::A {
            push_v4(&mut records, question.name(), entry, rotation);
        }
        if any || wanted == RecordType::AAAA {
            push_v6(&mut records, question.name(), entry, rotation);
        }
        if any || wanted == RecordType::SRV {
            for srv in rotated(&entry.srv, rotation) {
                if let Some(target) = self.names.get(&LowerName::new(&srv.target)) {
                    push_v4(&mut additionals, &srv.target, target, rotation);
                    push_v6(&mut additionals, &srv.target, target, rotation);
                }
                let data = RData::SRV(srv.clone());
                records.push(Record::from_rdata(question.name().clone(), entry.ttl, data));
            }
        }
        if records.is_empty() {
            return Outcome::NoData;
        }
        Outcome::Answer(Answer {
            records,
            additionals,
        })
    }

    fn resolve_reverse(&self, question: &Query) -> Outcome {
        let Some(address) = reverse_address(question.name()) else {
            return Outcome::NotOurs;
        };
        if let Some(names) = self.reverse.get(&address) {
            let wanted = question.query_type();
            if wanted != RecordType::PTR && wanted != RecordType::ANY {
                return Outcome::NoData;
            }
            let records = names
                .iter()
                .map(|name| RData::PTR(PTR(name.clone())))
                .map(|data| Record::from_rdata(question.name().clone(), self.ttl, data))
                .collect();
            return Outcome::Answer(Answer {
                records,
                additionals: Vec::new(),
            });
        }
        // Loopback is each machine's own; the node's resolver could only answer for itself.
        let ours = address.is_loopback()
            || self
                .own_subnets
                .iter()
                .any(|subnet| subnet.contains(&address));
        if ours {
            Outcome::NoSuchName
        } else {
            Outcome::NotOurs
        }
    }
}

/// `tasks.<service>` with nothing behind it. No such top-level domain exists, so a question for
/// a service that is gone would only tell the outside its name. Longer names (`tasks.example.com`)
/// may be real.
fn is_tasks_name(name: &LowerName) -> bool {
    let name: &Name = name;
    name.num_labels() == 2 && name.iter().next() == Some(b"tasks".as_slice())
}

/// The address a complete reverse name stands for; `None` for zones and for other names.
fn reverse_address(name: &Name) -> Option<IpAddr> {
    // Cheap test first: most unknown names are not reverse names.
    if !name
        .iter()
        .next_back()
        .is_some_and(|label| label.eq_ignore_ascii_case(b"arpa"))
    {
        return None;
    }
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

fn rotated<T>(items: &[T], rotation: usize) -> impl Iterator<Item = &T> {
    let start = rotation.checked_rem(items.len()).unwrap_or(0);
    let (tail, head) = items.split_at(start);
    head.iter().chain(tail)
}

fn push_v4(records: &mut Vec<Record>, owner: &Name, entry: &Entry, rotation: usize) {
    for &address in rotated(&entry.v4, rotation) {
        records.push(Record::from_rdata(
            owner.clone(),
            entry.ttl,
            RData::A(A(address)),
        ));
    }
}

fn push_v6(records: &mut Vec<Record>, owner: &Name, entry: &Entry, rotation: usize) {
    for &address in rotated(&entry.v6, rotation) {
        records.push(Record::from_rdata(
            owner.clone(),
            entry.ttl,
            RData::AAAA(AAAA(address)),
        ));
    }
}
