//! What the state becomes when one manager takes it over. Pure.

use crate::acting;
use crate::allocator::AllocateError;
use crate::allocator::choose_node_number;
use crate::ca::new_node;
use crate::store::State;
use crate::store::apply;
use std::net::IpAddr;
use std::net::SocketAddr;
use weft_proto::CommandId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::Conflict;
use weft_proto::command::StoreSnapshot;
use weft_proto::object::Cluster;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Node;
use weft_proto::object::NodeDescription;
use weft_proto::time::Timestamp;

/// How far the log jumps. More than any cluster can have written since: at 100,000 changes a
/// second it would take four months without a backup; and it leaves room for 8,000 recoveries before
/// programs that read revisions as floating point numbers would notice.
const JUMP: u64 = 1 << 40;

/// Who takes the state over.
#[derive(Clone, Debug)]
pub struct Founder {
    /// The node; one that the state knows, or a new one.
    pub node: NodeId,
    /// What its machine is made of.
    pub description: NodeDescription,
    /// Where other nodes send its packets of networks.
    pub data_addr: IpAddr,
    /// Where other nodes reach it.
    pub advertise_addr: SocketAddr,
    /// When that is.
    pub at: Timestamp,
    /// Random bits that name the change.
    pub id: u128,
}

/// A state that was taken over.
#[derive(Clone, Debug)]
pub struct TakenOver {
    /// The cluster.
    pub cluster: Cluster,
    /// The state as the new log's snapshot.
    pub snapshot: StoreSnapshot,
    /// The founder's identity in the new log.
    pub raft_id: u64,
    /// The nodes that are members no more: all other managers, and whoever this machine was before.
    pub fenced: Vec<Node>,
    /// How many nodes beside the founder are left.
    pub others: usize,
}

/// A state that cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// There is nothing in it.
    #[error("the state has no cluster in it: there is nothing to recover")]
    NoCluster,
    /// No number for the founder.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// The state refuses the change.
    #[error("the state does not allow it: {0}")]
    Conflict(Conflict),
}

/// The state as it begins anew with `founder` as its only manager.
///
/// # Errors
/// There is no cluster, or no room for the founder in it.
pub fn take_over(state: &State, founder: &Founder) -> Result<TakenOver, TakeOverError> {
    let cluster = state.cluster().ok_or(TakeOverError::NoCluster)?;
    let mut cluster = Cluster::clone(cluster);
    let used = state.nodes().filter_map(|node| node.manager);
    let highest = used.map(|manager| manager.raft_id).max().unwrap_or(0);
    let raft_id = cluster.next_raft_id.max(highest + 1);
    cluster.next_raft_id = raft_id + 1;
    let fenced: Vec<Node> = state
        .nodes()
        .filter(|node| node.id != founder.node)
        .filter(|node| node.manager.is_some() || node.data_addr == founder.data_addr)
        .map(|node| Node::clone(node))
        .collect();
    let index = state.revision().saturating_add(JUMP);
    let mut changes: Vec<Change> = fenced.iter().cloned().map(Change::remove).collect();
    changes.push(Change::update(cluster));
    changes.push(Change::Put {
        object: node(state, founder, raft_id)?.into(),
        expect: weft_proto::command::Expect::Any,
    });
    let command = Command {
        id: CommandId::from_entropy(founder.id),
        at: founder.at,
        actor: acting::stamp(state, founder.node, &changes),
        changes,
    };
    let applied = apply(state, index, &command);
    applied.result.map_err(TakeOverError::Conflict)?;
    let cluster = applied.state.cluster().ok_or(TakeOverError::NoCluster)?;
    Ok(TakenOver {
        cluster: Cluster::clone(cluster),
        raft_id,
        fenced,
        others: applied.state.nodes().count().saturating_sub(1),
        snapshot: applied.state.to_snapshot(),
    })
}

/// The founder as a node of the state.
fn node(state: &State, founder: &Founder, raft_id: u64) -> Result<Node, TakeOverError> {
    let manager = Some(ManagerStatus {
        raft_id,
        addr: founder.advertise_addr,
    });
    let Some(known) = state.node(founder.node) else {
        return Ok(new_node(
            founder.node,
            founder.description.clone(),
            choose_node_number(state)?,
            founder.data_addr,
            manager,
            founder.at,
        ));
    };
    let mut node = Node::clone(known);
    node.spec.role = Role::Manager;
    node.manager = manager;
    node.data_addr = founder.data_addr;
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use crate::fixture::network;
    use crate::fixture::node as machine;
    use crate::fixture::state;
    use crate::store::Claim;

    fn manager(n: u16) -> Node {
        let mut node = machine(n);
        node.spec.role = Role::Manager;
        node.manager = Some(ManagerStatus {
            raft_id: n.into(),
            addr: format!("192.0.2.{n}:2377").parse().unwrap(),
        });
        node
    }

    fn founder(n: u16) -> Founder {
        Founder {
            node: machine(n).id,
            description: machine(n).description,
            data_addr: machine(n).data_addr,
            advertise_addr: format!("192.0.2.{n}:2377").parse().unwrap(),
            at: Timestamp::from_millis(9),
            id: 99,
        }
    }

    fn three() -> State {
        let mut cluster = cluster();
        cluster.next_raft_id = 5;
        state(vec![
            cluster.into(),
            manager(1).into(),
            manager(2).into(),
            manager(3).into(),
            machine(4).into(),
            network(1).into(),
        ])
    }

    #[test]
    fn one_manager_takes_over_under_a_new_raft_id_and_the_others_are_out() {
        let old = three();
        let taken = take_over(&old, &founder(1)).unwrap();
        assert_eq!(taken.raft_id, 5);
        assert_eq!(taken.cluster.next_raft_id, 6);
        assert_eq!((taken.fenced.len(), taken.others), (2, 1));
        let new = State::from_snapshot(taken.snapshot);
        let managers: Vec<_> = new.nodes().filter_map(|node| node.manager).collect();
        assert_eq!(managers.len(), 1);
        assert_eq!(managers[0].raft_id, 5);
        for fenced in [2, 3] {
            assert!(new.removed_node(machine(fenced).id).is_some());
        }
        assert!(new.node(machine(4).id).is_some(), "workers stay");
        assert_eq!(new.networks().count(), 1);
        assert!(new.holder(&Claim::RaftId(2)).is_none());
    }

    #[test]
    fn the_new_log_is_beyond_everything_the_old_one_can_have_said() {
        let old = three();
        let taken = take_over(&old, &founder(1)).unwrap();
        assert_eq!(taken.snapshot.revision, old.revision() + JUMP);
        let new = State::from_snapshot(taken.snapshot);
        let again = take_over(&new, &founder(1)).unwrap();
        assert_eq!(again.raft_id, 6, "and so every time");
        assert!(again.snapshot.revision > new.revision());
    }

    #[test]
    fn a_new_machine_takes_a_backup_over_as_a_new_node() {
        let taken = take_over(&three(), &founder(9)).unwrap();
        assert_eq!((taken.fenced.len(), taken.others), (3, 1));
        let new = State::from_snapshot(taken.snapshot);
        let founder = new.node(machine(9).id).unwrap();
        assert_eq!(founder.spec.role, Role::Manager);
        let numbers = new.nodes().map(|node| node.number.get());
        assert_eq!(numbers.collect::<std::collections::BTreeSet<_>>().len(), 2);
    }

    #[test]
    fn what_the_machine_was_before_is_out_as_well() {
        let mut founder = founder(9);
        founder.data_addr = machine(4).data_addr;
        let taken = take_over(&three(), &founder).unwrap();
        assert_eq!((taken.fenced.len(), taken.others), (4, 0));
    }

    #[test]
    fn an_empty_state_cannot_be_taken_over() {
        let empty = take_over(&State::default(), &founder(1));
        assert!(matches!(empty, Err(TakeOverError::NoCluster)));
    }
}
