//! What a node is told of its own role.

use weft_proto::Role;
use weft_proto::object::Node;
use weft_proto::wire;
use weft_proto::wire::manager_message::Kind;

/// What was said last. A worker that stays one needs to hear nothing, so that is where it begins;
/// one that still is a manager asks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    role: Role,
    raft_id: u64,
}

impl Default for Standing {
    fn default() -> Self {
        Standing {
            role: Role::Worker,
            raft_id: 0,
        }
    }
}

impl Standing {
    /// What to say now, if it is something else than was said last.
    pub(super) fn changed(&mut self, node: &Node) -> Option<wire::ManagerMessage> {
        let now = Standing {
            role: node.spec.role,
            raft_id: node.manager.map_or(0, |manager| manager.raft_id),
        };
        if std::mem::replace(self, now) == now {
            return None;
        }
        let standing = wire::Standing {
            version: node.meta.version,
            role: wire::NodeRole::from(now.role).into(),
            raft_id: now.raft_id,
        };
        Some(wire::ManagerMessage {
            kind: Some(Kind::Standing(standing)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node;

    #[test]
    fn a_node_hears_of_its_role_when_it_changes_and_only_then() {
        let mut standing = Standing::default();
        let mut node = node(1);
        assert!(standing.changed(&node).is_none());
        node.spec.role = Role::Manager;
        node.meta.version = 7;
        let told = standing.changed(&node).and_then(|message| message.kind);
        let expected = wire::Standing {
            version: 7,
            role: wire::NodeRole::Manager.into(),
            raft_id: 0,
        };
        assert_eq!(told, Some(Kind::Standing(expected)));
        node.meta.version = 8;
        assert!(standing.changed(&node).is_none());
    }
}
