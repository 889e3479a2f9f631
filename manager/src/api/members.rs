//! The managers among themselves, as the API shows them.

use weft_proto::NodeId;
use weft_proto::wire::ManagerMember;

/// What this manager knows of its group at this moment. Answers from memory: it neither blocks nor
/// asks anybody.
pub trait Members: Send + Sync {
    /// The node that answers.
    fn this_node(&self) -> NodeId;

    /// The node that leads; `None` while there is no leader.
    fn leader(&self) -> Option<NodeId>;

    /// All members, voters and learners.
    fn members(&self) -> Vec<ManagerMember>;

    /// Nodes that the leader waits for until it uses a new key of the data plane.
    fn keys_awaited(&self) -> Vec<NodeId> {
        Vec::new()
    }
}
