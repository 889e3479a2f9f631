//! What keeps a task from a node. Pure; the words for it are in `explain`.

use crate::scheduler::attribute;
use crate::scheduler::node_info::NodeInfo;
use weft_proto::ServiceId;
use weft_proto::object::NodeState;
use weft_proto::spec::Availability;
use weft_proto::spec::Protocol;
use weft_proto::spec::Runtime;
use weft_proto::spec::TaskSpec;

/// Why a node cannot run a task. Ordered as people should read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// Nobody heard of it since it joined.
    Unknown,
    Down,
    Paused,
    Drained,
    Runtime(RuntimeName),
    /// The task is on an encrypted network, which the node cannot carry.
    Encryption,
    /// The position of the constraint that it does not meet, in the spec's order.
    Constraint(usize),
    /// It runs as many of the service's tasks as one node may.
    MaxPerNode,
    Cpu {
        free: u64,
    },
    Memory {
        free: u64,
    },
    Generic {
        name: String,
        free: u64,
    },
    /// A task on it has this port of the node.
    HostPort(Protocol, u16),
    IngressAddresses,
}

/// A runtime by the name that people know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuntimeName(pub(super) &'static str);

/// What keeps every task of this spec from the node, however little it runs. `encrypted`: on a network
/// of the task's.
pub(super) fn refuse_at_all(info: &NodeInfo, spec: &TaskSpec, encrypted: bool) -> Option<Refusal> {
    let node = &info.node;
    match node.status.state {
        NodeState::Ready => {}
        NodeState::Unknown => return Some(Refusal::Unknown),
        NodeState::Down => return Some(Refusal::Down),
    }
    match node.spec.availability {
        Availability::Active => {}
        Availability::Pause => return Some(Refusal::Paused),
        Availability::Drain => return Some(Refusal::Drained),
    }
    if !node.description.runtimes.contains(&spec.runtime) {
        return Some(Refusal::Runtime(runtime_name(spec.runtime)));
    }
    if encrypted && !node.description.encrypts {
        return Some(Refusal::Encryption);
    }
    spec.constraints
        .iter()
        .position(|constraint| !attribute::matches(node, constraint))
        .map(Refusal::Constraint)
}

/// What keeps one more task of this spec from the node, with what it runs already.
pub(super) fn refuse_more(info: &NodeInfo, service: ServiceId, spec: &TaskSpec) -> Option<Refusal> {
    if let Some(most) = spec.max_per_node
        && info.of_service(service) >= usize::try_from(most.get()).unwrap_or(usize::MAX)
    {
        return Some(Refusal::MaxPerNode);
    }
    let free = info.free();
    if spec.reservations.nano_cpus > free.nano_cpus {
        let free = free.nano_cpus;
        return Some(Refusal::Cpu { free });
    }
    if spec.reservations.memory_bytes > free.memory_bytes {
        let free = free.memory_bytes;
        return Some(Refusal::Memory { free });
    }
    let short = spec
        .reserved_generic
        .iter()
        .find(|(name, wanted)| **wanted > info.free_generic(name));
    if let Some((name, _)) = short {
        return Some(Refusal::Generic {
            name: name.clone(),
            free: info.free_generic(name),
        });
    }
    let ports = spec.host_ports.iter();
    let mut ports = ports.map(|port| (port.protocol, port.published));
    if let Some((protocol, port)) = ports.find(|port| info.has_port(*port)) {
        return Some(Refusal::HostPort(protocol, port));
    }
    info.ingress_addr()
        .is_none()
        .then_some(Refusal::IngressAddresses)
}

fn runtime_name(runtime: Runtime) -> RuntimeName {
    RuntimeName(match runtime {
        Runtime::Process => "process",
    })
}
