//! Cuts off nodes that were removed: their certificates are good for a day, their membership is not.

use crate::store::State;
use crate::store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_raft::RaftNode;
use weft_raft::RaftStatus;

/// How often is looked. A node is cut at the second look without it: until then the answer to its
/// own departure, or the word that it was removed, is on its way.
const PERIOD: Duration = Duration::from_secs(1);

/// Refuses, until `stop`, the nodes that the state remembers as removed.
pub(super) async fn follow(
    store: Arc<Store>,
    raft: RaftNode,
    cluster: ClusterId,
    live: Arc<LiveCredentials>,
    stop: CancellationToken,
) {
    let mut refused = Refused::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(PERIOD) => {}
        }
        let members = in_the_log(&raft.status().borrow());
        if refused.look(&store.view(), &members) {
            live.set_revoked(refused.identities(cluster));
        }
    }
}

/// Members of the log. Until the removal of one is itself agreed on, its voice may be needed
/// for that, so it must be heard.
fn in_the_log(status: &RaftStatus) -> BTreeSet<NodeId> {
    let members = status.members.values();
    members.map(|member| member.node_id).collect()
}

/// The nodes that are refused. Pure.
#[derive(Debug, Default)]
struct Refused {
    /// Removed at the last look.
    missed: BTreeSet<NodeId>,
    nodes: BTreeSet<NodeId>,
}

impl Refused {
    /// Looks once; whether others are to be refused than before.
    fn look(&mut self, state: &State, members: &BTreeSet<NodeId>) -> bool {
        let removed = state.removed_nodes().map(|node| node.id);
        let removed: BTreeSet<NodeId> = removed.filter(|id| !members.contains(id)).collect();
        let missed = std::mem::replace(&mut self.missed, removed);
        let now: BTreeSet<NodeId> = missed.intersection(&self.missed).copied().collect();
        if now == self.nodes {
            return false;
        }
        for id in now.difference(&self.nodes) {
            tracing::info!(node = %id, "a removed node is refused from now on");
        }
        self.nodes = now;
        true
    }

    /// In both roles: a manager may have been a worker.
    fn identities(&self, cluster: ClusterId) -> impl Iterator<Item = NodeIdentity> {
        self.nodes.iter().flat_map(move |node| {
            [Role::Worker, Role::Manager].map(|role| NodeIdentity {
                cluster,
                role,
                node: *node,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node;
    use crate::fixture::node_id;
    use crate::propose::fake::FakeProposer;
    use weft_proto::command::Change;
    use weft_proto::object::Node;

    fn cluster(nodes: &[u16]) -> (FakeProposer, Refused) {
        let objects = nodes.iter().map(|n| node(*n).into()).collect();
        let (fake, mut refused) = (FakeProposer::new(objects), Refused::default());
        assert!(!refused.look(&fake.view(), &members(&[1])));
        (fake, refused)
    }

    fn members(of: &[u16]) -> BTreeSet<NodeId> {
        of.iter().map(|n| node_id(u128::from(*n))).collect()
    }

    fn remove(fake: &FakeProposer, n: u16) {
        let id = node_id(u128::from(n));
        let node = Node::clone(fake.view().node(id).unwrap());
        fake.write(vec![Change::remove(node)]);
    }

    fn refused_by(refused: &Refused) -> Vec<NodeIdentity> {
        refused.identities(ClusterId::from_entropy(1)).collect()
    }

    #[test]
    fn a_removed_node_is_refused_in_both_roles_at_the_second_look() {
        let (fake, mut refused) = cluster(&[1, 2]);
        remove(&fake, 2);
        assert!(!refused.look(&fake.view(), &members(&[1])));
        assert!(refused_by(&refused).is_empty());
        assert!(refused.look(&fake.view(), &members(&[1])));
        let all = refused_by(&refused);
        let roles = all.iter().map(|identity| identity.role);
        assert_eq!(roles.collect::<Vec<_>>(), [Role::Worker, Role::Manager]);
        assert!(all.iter().all(|identity| identity.node == node_id(2)));
        assert!(!refused.look(&fake.view(), &members(&[1])), "nothing new");
    }

    #[test]
    fn a_removed_manager_is_heard_until_the_log_has_let_it_go() {
        let (fake, mut refused) = cluster(&[1, 2]);
        remove(&fake, 2);
        for _ in 0..5 {
            assert!(!refused.look(&fake.view(), &members(&[1, 2])));
        }
        assert!(!refused.look(&fake.view(), &members(&[1])));
        assert!(refused.look(&fake.view(), &members(&[1])));
    }

    #[test]
    fn a_node_that_is_there_again_is_welcome() {
        let (fake, mut refused) = cluster(&[1, 2]);
        remove(&fake, 2);
        refused.look(&fake.view(), &members(&[1]));
        refused.look(&fake.view(), &members(&[1]));
        fake.write(vec![Change::create(node(2))]);
        assert!(refused.look(&fake.view(), &members(&[1])));
        assert!(refused_by(&refused).is_empty());
    }

    #[test]
    fn a_removal_that_came_in_a_snapshot_is_known_as_well() {
        let (fake, _) = cluster(&[1, 2]);
        remove(&fake, 2);
        let state = State::from_snapshot(fake.view().to_snapshot());
        let mut fresh = Refused::default();
        fresh.look(&state, &members(&[1]));
        assert!(fresh.look(&state, &members(&[1])));
        assert_eq!(refused_by(&fresh).len(), 2);
    }
}
