//! Which nodes tasks of a service may be on.

use crate::store::State;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::object::Task;
use weft_proto::spec::Availability;
use weft_proto::spec::TaskSpec;

/// Why a task cannot stay where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It runs no longer, or nobody knows: another one starts at once.
    Lost(&'static str),
    /// It still serves: another one may start first.
    Moved(String),
}

pub(super) fn is_up(node: &Node) -> bool {
    node.status.state != NodeState::Down
}

/// Why the task cannot stay where it is; `None`: it can.
pub(super) fn must_leave(state: &State, task: &Task) -> Option<Leave> {
    let node = task.node?;
    match state.node(node) {
        None => Some(Leave::Lost("its node was removed")),
        Some(node) if !is_up(node) => Some(Leave::Lost("its node is down")),
        Some(node) => match node.spec.availability {
            Availability::Drain => Some(Leave::Moved("its node is drained".to_owned())),
            Availability::Active | Availability::Pause => {
                misfit(node, &task.spec).map(Leave::Moved)
            }
        },
    }
}

/// What about the node is not as the spec asks for, however little it runs; `None`: nothing.
pub(super) fn misfit(node: &Node, spec: &TaskSpec) -> Option<String> {
    if !node.description.runtimes.contains(&spec.runtime) {
        return Some("its node has no longer its runtime".to_owned());
    }
    if let Some(constraint) = spec.constraints.iter().find(|c| !node.meets(c)) {
        return Some(format!("its node does not meet {constraint}"));
    }
    let (has, reserved) = (node.description.resources, spec.reservations);
    if reserved.nano_cpus > has.nano_cpus || reserved.memory_bytes > has.memory_bytes {
        return Some("its node has less than it reserves".to_owned());
    }
    None
}

/// What a global service does on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seating {
    /// Has a task there.
    Yes,
    /// Keeps the task that is there, and makes none: the node is paused, down or not heard of yet.
    AsIs,
    /// Has no task there, and why.
    No(String),
}

/// What a service with a task on every suitable node does on this one.
pub(super) fn seating(node: &Node, spec: &TaskSpec) -> Seating {
    let why = match node.spec.availability {
        Availability::Drain => Some("its node is drained".to_owned()),
        Availability::Active | Availability::Pause => misfit(node, spec),
    };
    match (why, node.status.state, node.spec.availability) {
        (Some(why), _, _) => Seating::No(why),
        (None, NodeState::Ready, Availability::Active) => Seating::Yes,
        (None, _, _) => Seating::AsIs,
    }
}
