//! Why a task waits, in words for `service ps`: nodes counted by what keeps the task from them.

use crate::scheduler::attribute;
use crate::scheduler::filter::Refusal;
use std::collections::BTreeMap;
use weft_proto::spec::Protocol;
use weft_proto::spec::TaskSpec;

/// Refusals of many nodes, counted as they come in.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    counts: BTreeMap<Kind, Count>,
}

/// A reason without its numbers, in the order in which people should read them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unknown,
    Down,
    Paused,
    Drained,
    Runtime(&'static str),
    Encryption,
    Constraint(usize),
    MaxPerNode,
    Cpu,
    Memory,
    Generic(String),
    HostPort(Protocol, u16),
    IngressAddresses,
}

#[derive(Clone, Debug, Default)]
struct Count {
    nodes: usize,
    /// The most that one of them has free, and which.
    best: Option<(u64, String)>,
}

impl Refusals {
    /// One more node, and why it cannot run the task.
    pub(super) fn add(&mut self, hostname: &str, refusal: &Refusal) {
        let (kind, free) = split(refusal);
        let count = self.counts.entry(kind).or_default();
        count.nodes += 1;
        if let Some(free) = free
            && count.best.as_ref().is_none_or(|(best, _)| free > *best)
        {
            count.best = Some((free, hostname.to_owned()));
        }
    }

    /// All in one line: `no suitable node: 2 drained, 1 without label disk=ssd`.
    pub(super) fn summary(&self, spec: &TaskSpec) -> String {
        if self.counts.is_empty() {
            return "no suitable node: the cluster has none".to_owned();
        }
        let parts: Vec<String> = self
            .counts
            .iter()
            .map(|(kind, count)| many(kind, count, spec))
            .collect();
        format!("no suitable node: {}", parts.join(", "))
    }
}

/// Why a task that belongs on one node waits for it.
pub(super) fn of_its_node(hostname: &str, refusal: &Refusal, spec: &TaskSpec) -> String {
    let (kind, free) = split(refusal);
    let reason = match (&kind, free) {
        (Kind::Cpu | Kind::Memory | Kind::Generic(_), Some(free)) => {
            let wanted = wanted(&kind, spec);
            format!("lacks {wanted} (free: {})", amount(&kind, free))
        }
        (Kind::Constraint(at), _) => match spec.constraints.get(*at) {
            Some(constraint) => format!("does not meet {constraint}"),
            None => "does not meet a constraint".to_owned(),
        },
        (Kind::MaxPerNode, _) => format!("is one {}", state(&kind, spec)),
        (Kind::HostPort(protocol, port), _) => {
            format!("has port {port}/{protocol} in use by a task")
        }
        (kind, _) => format!("is {}", state(kind, spec)),
    };
    format!("its node {hostname} {reason}")
}

/// A message without its numbers and examples: equal for two that differ only in how many nodes
/// there are and how much they have free.
pub(super) fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    let mut rest = message;
    let examples = [" (most free: ", " (free: ", " (none free)"];
    while let Some(at) = examples.iter().filter_map(|text| rest.find(text)).min() {
        shape.push_str(&rest[..at]);
        rest = rest[at..].split_once(')').map_or("", |(_, after)| after);
    }
    shape.push_str(rest);
    // "1 lacks" and "2 lack" are the same reason.
    let shape = shape.replace(" lacks ", " lack ");
    shape.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn split(refusal: &Refusal) -> (Kind, Option<u64>) {
    match refusal {
        Refusal::Unknown => (Kind::Unknown, None),
        Refusal::Down => (Kind::Down, None),
        Refusal::Paused => (Kind::Paused, None),
        Refusal::Drained => (Kind::Drained, None),
        Refusal::Runtime(name) => (Kind::Runtime(name.0), None),
        Refusal::Encryption => (Kind::Encryption, None),
        Refusal::Constraint(at) => (Kind::Constraint(*at), None),
        Refusal::MaxPerNode => (Kind::MaxPerNode, None),
        Refusal::Cpu { free } => (Kind::Cpu, Some(*free)),
        Refusal::Memory { free } => (Kind::Memory, Some(*free)),
        Refusal::Generic { name, free } => (Kind::Generic(name.clone()), Some(*free)),
        Refusal::HostPort(protocol, port) => (Kind::HostPort(*protocol, *port), None),
        Refusal::IngressAddresses => (Kind::IngressAddresses, None),
    }
}

fn many(kind: &Kind, count: &Count, spec: &TaskSpec) -> String {
    let nodes = count.nodes;
    let Some((free, hostname)) = &count.best else {
        return format!("{nodes} {}", state(kind, spec));
    };
    let lack = if nodes == 1 { "lacks" } else { "lack" };
    let wanted = wanted(kind, spec);
    match free {
        0 => format!("{nodes} {lack} {wanted} (none free)"),
        free => {
            let free = amount(kind, *free);
            format!("{nodes} {lack} {wanted} (most free: {free} on {hostname})")
        }
    }
}

/// What is said of a node behind "is" or a number.
fn state(kind: &Kind, spec: &TaskSpec) -> String {
    match kind {
        Kind::Unknown => "not heard of yet".to_owned(),
        Kind::Down => "down".to_owned(),
        Kind::Paused => "paused".to_owned(),
        Kind::Drained => "drained".to_owned(),
        Kind::Runtime(name) => format!("without the {name} runtime"),
        Kind::Encryption => "unable to encrypt".to_owned(),
        Kind::Constraint(at) => spec
            .constraints
            .get(*at)
            .map_or_else(|| "not matching".to_owned(), attribute::words),
        Kind::MaxPerNode => match spec.max_per_node.map_or(0, |most| most.get()) {
            1 => "with 1 task of the service, the most per node".to_owned(),
            most => format!("with {most} tasks of the service, the most per node"),
        },
        Kind::Cpu | Kind::Memory | Kind::Generic(_) => format!("short of {}", wanted(kind, spec)),
        Kind::HostPort(protocol, port) => format!("with port {port}/{protocol} in use by a task"),
        Kind::IngressAddresses => "without a free ingress address".to_owned(),
    }
}

fn wanted(kind: &Kind, spec: &TaskSpec) -> String {
    match kind {
        Kind::Cpu => format!("{} CPU", amount(kind, spec.reservations.nano_cpus)),
        Kind::Memory => format!("{} memory", amount(kind, spec.reservations.memory_bytes)),
        Kind::Generic(name) => {
            let wanted = spec.reserved_generic.get(name).copied().unwrap_or_default();
            format!("{wanted} {name}")
        }
        Kind::Unknown
        | Kind::Down
        | Kind::Paused
        | Kind::Drained
        | Kind::Runtime(_)
        | Kind::Encryption
        | Kind::Constraint(_)
        | Kind::MaxPerNode
        | Kind::HostPort(..)
        | Kind::IngressAddresses => String::new(),
    }
}

fn amount(kind: &Kind, number: u64) -> String {
    match kind {
        Kind::Cpu => cpus(number),
        Kind::Memory => bytes(number),
        Kind::Unknown
        | Kind::Down
        | Kind::Paused
        | Kind::Drained
        | Kind::Runtime(_)
        | Kind::Encryption
        | Kind::Constraint(_)
        | Kind::MaxPerNode
        | Kind::Generic(_)
        | Kind::HostPort(..)
        | Kind::IngressAddresses => number.to_string(),
    }
}

/// Billionths of a CPU with at most three decimals, rounded down: `0.5`, `2`.
fn cpus(nano: u64) -> String {
    let thousandths = nano / 1_000_000;
    decimal(thousandths / 1000, thousandths % 1000)
}

/// Bytes in the largest unit of which there is one, rounded down to three decimals.
fn bytes(number: u64) -> String {
    let (unit, shift) = match number {
        0..1024 => return format!("{number} B"),
        1024..0x10_0000 => ("KiB", 10),
        0x10_0000..0x4000_0000 => ("MiB", 20),
        _ => ("GiB", 30),
    };
    let whole = number >> shift;
    let part = ((number & ((1 << shift) - 1)) * 1000) >> shift;
    format!("{} {unit}", decimal(whole, part))
}

fn decimal(whole: u64, thousandths: u64) -> String {
    let text = format!("{whole}.{thousandths:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_and_never_more_than_there_is() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(200 << 20), "200 MiB");
        assert_eq!(bytes((3 << 30) / 2), "1.5 GiB");
        assert_eq!(bytes((1 << 30) - 1), "1023.999 MiB");
        assert_eq!(cpus(500_000_000), "0.5");
        assert_eq!(cpus(2_000_000_000), "2");
        assert_eq!(cpus(1_999_999_999), "1.999");
    }

    #[test]
    fn messages_that_differ_only_in_numbers_have_one_shape() {
        let before = "no suitable node: 1 lacks 512 MiB memory (most free: 200 MiB on n2), 1 down";
        let after = "no suitable node: 3 lack 512 MiB memory (none free), 2 down";
        assert_eq!(shape(before), shape(after));
        let other = "no suitable node: 3 lack 512 MiB memory (most free: 0 B on other)";
        assert_ne!(shape(before), shape(other));
        assert_ne!(shape("waits for a node"), shape(other));
    }
}
