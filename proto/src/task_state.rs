//! The life of a task, and who may move it on.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Observed progress of a task. Ordered: of two observations the greater is the newer.
/// Gaps of 64 leave room for states added later (the wire carries these numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u16)]
pub enum TaskState {
    /// Created by an orchestrator; waits for its addresses.
    New = 0,
    /// Has its addresses; waits for a node.
    Pending = 64,
    /// Has a node, which does not know it yet.
    Assigned = 192,
    /// The node's agent has it.
    Accepted = 256,
    /// Its networks and files are being made.
    Preparing = 320,
    /// Its process is being started.
    Starting = 448,
    /// Its process runs.
    Running = 512,
    /// Ended by itself with exit code 0.
    Complete = 576,
    /// Stopped because the cluster asked for it.
    Shutdown = 640,
    /// Ended by itself with another exit code, a signal, or not startable.
    Failed = 704,
    /// Its node cannot run it.
    Rejected = 768,
    /// Its node is gone for so long that the cluster gave it up.
    Orphaned = 832,
}

/// All states in order.
pub const TASK_STATES: [TaskState; 12] = [
    TaskState::New,
    TaskState::Pending,
    TaskState::Assigned,
    TaskState::Accepted,
    TaskState::Preparing,
    TaskState::Starting,
    TaskState::Running,
    TaskState::Complete,
    TaskState::Shutdown,
    TaskState::Failed,
    TaskState::Rejected,
    TaskState::Orphaned,
];

/// The room that may take an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Gives addresses.
    Allocator,
    /// Gives a node.
    Scheduler,
    /// The node's agent. For a task on a node that is gone, the orchestrator acts as its agent's
    /// executor: it may only declare the task orphaned.
    Agent,
}

/// Every legal edge and the one room that may take it. Creation and reaping are not edges; an
/// agent may skip states between two of its own.
pub const TRANSITIONS: &[(TaskState, TaskState, Owner)] = {
    use Owner::Agent;
    use Owner::Allocator;
    use Owner::Scheduler;
    use TaskState::*;
    &[
        (New, Pending, Allocator),
        (Pending, Assigned, Scheduler),
        (Assigned, Accepted, Agent),
        (Accepted, Preparing, Agent),
        (Preparing, Starting, Agent),
        (Starting, Running, Agent),
        (Running, Complete, Agent),
        (Assigned, Shutdown, Agent),
        (Accepted, Shutdown, Agent),
        (Preparing, Shutdown, Agent),
        (Starting, Shutdown, Agent),
        (Running, Shutdown, Agent),
        (Assigned, Failed, Agent),
        (Accepted, Failed, Agent),
        (Preparing, Failed, Agent),
        (Starting, Failed, Agent),
        (Running, Failed, Agent),
        (Assigned, Rejected, Agent),
        (Accepted, Rejected, Agent),
        (Preparing, Rejected, Agent),
        (Assigned, Orphaned, Agent),
        (Accepted, Orphaned, Agent),
        (Preparing, Orphaned, Agent),
        (Starting, Orphaned, Agent),
        (Running, Orphaned, Agent),
    ]
};

impl TaskState {
    /// Ended: it will never run again.
    pub fn is_terminal(self) -> bool {
        self >= TaskState::Complete
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        u32::from(self as u16)
    }

    /// From the number on the wire; `None` for a number of no state.
    pub fn from_number(number: u32) -> Option<Self> {
        TASK_STATES
            .into_iter()
            .find(|state| state.number() == number)
    }

    /// Whether an agent may report `next` for a task in this state.
    pub fn agent_may_report(self, next: TaskState) -> bool {
        self >= TaskState::Assigned && !self.is_terminal() && next > self
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TaskState::New => "new",
            TaskState::Pending => "pending",
            TaskState::Assigned => "assigned",
            TaskState::Accepted => "accepted",
            TaskState::Preparing => "preparing",
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Complete => "complete",
            TaskState::Shutdown => "shutdown",
            TaskState::Failed => "failed",
            TaskState::Rejected => "rejected",
            TaskState::Orphaned => "orphaned",
        })
    }
}

/// What the cluster wants of a task. Ordered: it only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u16)]
pub enum DesiredState {
    /// Run it.
    Running = 512,
    /// Stop it and keep its record.
    Shutdown = 640,
    /// Stop it and forget it.
    Remove = 800,
}

impl DesiredState {
    /// The number on the wire.
    pub fn number(self) -> u32 {
        u32::from(self as u16)
    }

    /// From the number on the wire; `None` for a number of no state.
    pub fn from_number(number: u32) -> Option<Self> {
        [
            DesiredState::Running,
            DesiredState::Shutdown,
            DesiredState::Remove,
        ]
        .into_iter()
        .find(|state| state.number() == number)
    }
}

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DesiredState::Running => "running",
            DesiredState::Shutdown => "shutdown",
            DesiredState::Remove => "remove",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_rises_and_every_source_state_has_one_owner() {
        for &(from, to, owner) in TRANSITIONS {
            assert!(from < to, "{from:?} -> {to:?} goes backwards");
            assert!(
                TRANSITIONS.iter().all(|&(f, _, o)| f != from || o == owner),
                "{from:?} has two owners"
            );
        }
    }

    #[test]
    fn every_state_that_is_not_terminal_has_a_way_out_and_no_terminal_state_has_one() {
        for state in TASK_STATES {
            let leaves = TRANSITIONS.iter().any(|&(from, _, _)| from == state);
            assert_eq!(leaves, !state.is_terminal(), "{state:?}");
        }
    }

    #[test]
    fn numbers_on_the_wire_name_their_state() {
        for state in TASK_STATES {
            assert_eq!(TaskState::from_number(state.number()), Some(state));
        }
        assert_eq!(TaskState::from_number(1), None);
    }
}
