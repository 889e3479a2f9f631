//! Cuts off nodes that were removed: their certificates are good for a day, their membership is not.

use crate::store::State;
use crate::store::Store;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::object::ObjectKey;
use weft_raft::RaftNode;
use weft_raft::RaftStatus;

/// How often is looked. A node is cut at the second look without it: until then the answer to its
/// own departure, or the word that it was removed, is on its way.
const PERIOD: Duration = Duration::from_secs(1);

/// How many removed nodes are remembered. Each is two small entries in a set that every connection
/// asks; the oldest are forgotten, and their certificates have the best chance to have expired.
const REMEMBERED: usize = 4096;

/// Refuses, until `stop`, the nodes that vanish from the store.
pub(super) async fn follow(
    store: Arc<Store>,
    raft: RaftNode,
    cluster: ClusterId,
    live: Arc<LiveCredentials>,
    stop: CancellationToken,
) {
    let mut removed = Removed::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(PERIOD) => {}
        }
        let members = in_the_log(&raft.status().borrow());
        let view = store.view();
        let touched = touched(&store, removed.revision, view.revision());
        if removed.look(&view, touched, &members) {
            live.set_revoked(removed.identities(cluster));
        }
    }
}

/// Members of the log. Until the removal of one is itself agreed on, its voice may be needed
/// for that, so it must be heard.
fn in_the_log(status: &RaftStatus) -> BTreeSet<NodeId> {
    let members = status.members.values();
    members.map(|member| member.node_id).collect()
}

/// The nodes that changed after one revision and not after another. None when that is no longer
/// known; then those that were seen before are all there is to go by.
fn touched(store: &Store, after: u64, until: u64) -> BTreeSet<NodeId> {
    let sets = store.changes_since(after).unwrap_or_default();
    let sets = sets.iter().filter(|set| set.revision <= until);
    let keys = sets.flat_map(|set| set.changed.iter());
    keys.filter_map(|key| match key {
        ObjectKey::Node(id) => Some(*id),
        ObjectKey::Cluster | ObjectKey::Network(_) | ObjectKey::Service(_) | ObjectKey::Task(_) => {
            None
        }
    })
    .collect()
}

/// The nodes that were there and are no longer. Pure.
#[derive(Debug, Default)]
struct Removed {
    revision: u64,
    known: BTreeSet<NodeId>,
    /// Missed at the last look, or still a member of the log.
    leaving: BTreeSet<NodeId>,
    /// Oldest first.
    gone: VecDeque<NodeId>,
}

impl Removed {
    /// Looks once, knowing that `touched` changed meanwhile; whether others are to be refused than
    /// before.
    fn look(
        &mut self,
        state: &State,
        touched: BTreeSet<NodeId>,
        members: &BTreeSet<NodeId>,
    ) -> bool {
        let missed = self.leaving.clone();
        let mut changed = false;
        if state.revision() != self.revision {
            self.revision = state.revision();
            let nodes: BTreeSet<NodeId> = state.nodes().map(|node| node.id).collect();
            let known = std::mem::replace(&mut self.known, nodes);
            // Who came and went between two looks is among those touched only.
            self.leaving.extend(known.into_iter().chain(touched));
            self.leaving.retain(|id| !self.known.contains(id));
            let before = self.gone.len();
            self.gone.retain(|id| !self.known.contains(id));
            changed = self.gone.len() != before;
            self.leaving.retain(|id| !self.gone.contains(id));
        }
        for id in missed.difference(members) {
            if self.leaving.remove(id) {
                tracing::info!(node = %id, "a removed node is refused from now on");
                self.gone.push_back(*id);
                changed = true;
            }
        }
        let excess = self.gone.len().saturating_sub(REMEMBERED);
        self.gone.drain(..excess);
        changed
    }

    /// In both roles: a manager may have been a worker.
    fn identities(&self, cluster: ClusterId) -> impl Iterator<Item = NodeIdentity> {
        self.gone.iter().flat_map(move |node| {
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

    fn cluster(nodes: &[u16]) -> (FakeProposer, Removed) {
        let objects = nodes.iter().map(|n| node(*n).into()).collect();
        let (fake, mut removed) = (FakeProposer::new(objects), Removed::default());
        assert!(!look(&mut removed, &fake, &members(&[1])));
        (fake, removed)
    }

    fn look(removed: &mut Removed, fake: &FakeProposer, members: &BTreeSet<NodeId>) -> bool {
        removed.look(&fake.view(), BTreeSet::new(), members)
    }

    fn members(of: &[u16]) -> BTreeSet<NodeId> {
        of.iter().map(|n| node_id(u128::from(*n))).collect()
    }

    fn remove(fake: &FakeProposer, n: u16) {
        let id = node_id(u128::from(n));
        let node = Node::clone(fake.view().node(id).unwrap());
        fake.write(vec![Change::remove(node)]);
    }

    fn refused(removed: &Removed) -> Vec<NodeIdentity> {
        removed.identities(ClusterId::from_entropy(1)).collect()
    }

    #[test]
    fn a_removed_node_is_refused_in_both_roles_at_the_second_look() {
        let (fake, mut removed) = cluster(&[1, 2]);
        remove(&fake, 2);
        assert!(!look(&mut removed, &fake, &members(&[1])));
        assert!(refused(&removed).is_empty());
        assert!(look(&mut removed, &fake, &members(&[1])));
        let refused = refused(&removed);
        let roles = refused.iter().map(|identity| identity.role);
        assert_eq!(roles.collect::<Vec<_>>(), [Role::Worker, Role::Manager]);
        assert!(refused.iter().all(|identity| identity.node == node_id(2)));
        assert!(!look(&mut removed, &fake, &members(&[1])), "nothing new");
    }

    #[test]
    fn a_removed_manager_is_heard_until_the_log_has_let_it_go() {
        let (fake, mut removed) = cluster(&[1, 2]);
        remove(&fake, 2);
        for _ in 0..5 {
            assert!(!look(&mut removed, &fake, &members(&[1, 2])));
        }
        assert!(look(&mut removed, &fake, &members(&[1])));
    }

    #[test]
    fn a_node_that_is_there_again_is_welcome() {
        let (fake, mut removed) = cluster(&[1, 2]);
        remove(&fake, 2);
        look(&mut removed, &fake, &members(&[1]));
        look(&mut removed, &fake, &members(&[1]));
        fake.write(vec![Change::create(node(2))]);
        assert!(look(&mut removed, &fake, &members(&[1])));
        assert!(refused(&removed).is_empty());
    }

    #[test]
    fn a_node_that_came_and_went_between_two_looks_is_refused() {
        let (fake, mut removed) = cluster(&[1]);
        fake.write(vec![Change::create(node(2))]);
        remove(&fake, 2);
        removed.look(&fake.view(), members(&[2]), &members(&[1]));
        assert!(look(&mut removed, &fake, &members(&[1])));
        assert_eq!(refused(&removed).len(), 2);
    }

    #[test]
    fn the_memory_of_removed_nodes_is_bounded() {
        let mut removed = Removed::default();
        let all = 0..u128::try_from(REMEMBERED).unwrap() + 10;
        removed.leaving = all.map(node_id).collect();
        assert!(removed.look(&State::default(), BTreeSet::new(), &BTreeSet::new()));
        assert_eq!(removed.gone.len(), REMEMBERED);
    }
}
