//! What the node has to tell about its tasks: plain data, from the reconciler to the agent.

use weft_proto::TaskId;
use weft_proto::object::TaskStatus;

/// A task's newest state, as seen on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReport {
    /// Which task.
    pub task: TaskId,
    /// How far it is.
    pub status: TaskStatus,
}
