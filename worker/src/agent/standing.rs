//! What managers said this node is; acted on by whoever started the worker.

use weft_proto::Role;
use weft_proto::wire;

/// What managers said last of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It is a member.
    Member(Standing),
    /// It was removed, in the words of the manager that said so.
    Removed(String),
}

/// A node's place in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Of two standings the greater is the newer.
    pub version: u64,
    /// What it is to be.
    pub role: Role,
    /// Its identity in the log; `None`: it is no manager.
    pub raft_id: Option<u64>,
}

impl Standing {
    /// Reads what a manager sent; `None` when this version does not understand it.
    pub fn read(wire: wire::Standing) -> Option<Standing> {
        Some(Standing {
            version: wire.version,
            role: Role::try_from(wire.role()).ok()?,
            raft_id: Some(wire.raft_id).filter(|id| *id > 0),
        })
    }
}

impl Told {
    /// Takes over what was said, unless something newer was. A removal is for good.
    pub fn learn(&mut self, standing: Standing) -> bool {
        match self {
            Told::Removed(_) => false,
            Told::Member(known) if known.version >= standing.version => false,
            Told::Nothing | Told::Member(_) => {
                *self = Told::Member(standing);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_standing_counts_and_a_removal_is_for_good() {
        let standing = |version, raft_id| Standing {
            version,
            role: Role::Manager,
            raft_id,
        };
        let mut told = Told::default();
        assert!(told.learn(standing(5, Some(2))));
        assert!(!told.learn(standing(4, None)), "an old one changes nothing");
        assert_eq!(told, Told::Member(standing(5, Some(2))));
        told = Told::Removed("gone".to_owned());
        assert!(!told.learn(standing(9, None)));
    }
}
