//! What keeps a task from a node. Each filter says so in words, for `service ps`.

use crate::scheduler::node_info::NodeInfo;
use std::collections::BTreeMap;
use weft_proto::object::NodeState;
use weft_proto::object::Task;
use weft_proto::spec::Availability;
use weft_proto::spec::Constraint;

/// Why a node cannot run a task. Ordered as people should read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    NotReady,
    NotActive(&'static str),
    Runtime,
    Constraint(String),
    Resources(&'static str),
    IngressAddresses,
}

impl Refusal {
    fn words(&self) -> String {
        match self {
            Refusal::NotReady => "not ready".to_owned(),
            Refusal::NotActive(what) => (*what).to_owned(),
            Refusal::Runtime => "without the runtime".to_owned(),
            Refusal::Constraint(constraint) => format!("not matching {constraint}"),
            Refusal::Resources(what) => format!("short of {what}"),
            Refusal::IngressAddresses => "without a free ingress address".to_owned(),
        }
    }
}

/// What keeps the task from this node; `None`: nothing does.
pub(super) fn refuse(info: &NodeInfo, task: &Task) -> Option<Refusal> {
    let node = &info.node;
    let reserved = task.spec.reservations;
    if node.status.state != NodeState::Ready {
        return Some(Refusal::NotReady);
    }
    match node.spec.availability {
        Availability::Active => {}
        Availability::Pause => return Some(Refusal::NotActive("paused")),
        Availability::Drain => return Some(Refusal::NotActive("drained")),
    }
    if !node.description.runtimes.contains(&task.spec.runtime) {
        return Some(Refusal::Runtime);
    }
    if let Some(constraint) = task.spec.constraints.iter().find(|c| !matches(info, c)) {
        return Some(Refusal::Constraint(constraint.to_string()));
    }
    if reserved.nano_cpus > info.free.nano_cpus {
        return Some(Refusal::Resources("CPU"));
    }
    if reserved.memory_bytes > info.free.memory_bytes {
        return Some(Refusal::Resources("memory"));
    }
    if info.ingress_addr().is_none() {
        return Some(Refusal::IngressAddresses);
    }
    None
}

fn matches(info: &NodeInfo, constraint: &Constraint) -> bool {
    let node = &info.node;
    let value = match constraint.key.as_str() {
        "node.id" => node.id.to_string(),
        "node.hostname" => node.description.hostname.clone(),
        "node.role" => node.spec.role.to_string(),
        "node.platform.os" => node.description.os.clone(),
        "node.platform.arch" => node.description.arch.clone(),
        key => key
            .strip_prefix("node.labels.")
            .and_then(|label| node.spec.labels.get(label))
            .cloned()
            .unwrap_or_default(),
    };
    let among = |wanted: &String| value.eq_ignore_ascii_case(wanted);
    constraint.values.iter().any(among) == constraint.equal
}

/// All refusals in one line: `no suitable node: 1 not ready, 2 drained`.
pub(super) fn summary(refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return "no suitable node: the cluster has none".to_owned();
    }
    let mut counts: BTreeMap<&Refusal, usize> = BTreeMap::new();
    for refusal in refusals {
        *counts.entry(refusal).or_default() += 1;
    }
    let parts: Vec<String> = counts
        .into_iter()
        .map(|(refusal, count)| format!("{count} {}", refusal.words()))
        .collect();
    format!("no suitable node: {}", parts.join(", "))
}
