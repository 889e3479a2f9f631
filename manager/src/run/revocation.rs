//! Cuts off nodes that were removed: their certificates are good for a day, their membership is not.

use crate::store::State;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use weft_pki::LiveCredentials;
use weft_pki::NodeIdentity;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_raft::RaftNode;
use weft_raft::RaftStatus;

/// How often is looked. With [`GRACE`], the log and what the look costs, a removed node is refused by
/// every manager that follows the log within a second.
const PERIOD: Duration = Duration::from_millis(100);
/// So long after it was first missed a node is cut: until then the answer to its own departure, or
/// the word that it was removed, is on its way.
const GRACE: Duration = Duration::from_millis(400);

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
        if refused.look(&store.view(), &members, Instant::now()) {
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
    /// Since when each was missed.
    missed: BTreeMap<NodeId, Instant>,
    nodes: BTreeSet<NodeId>,
}

impl Refused {
    /// Looks once; whether others are to be refused than before.
    fn look(&mut self, state: &State, members: &BTreeSet<NodeId>, now: Instant) -> bool {
        let removed = state.removed_nodes().map(|node| node.id);
        let removed = removed.filter(|id| !members.contains(id));
        let before = std::mem::take(&mut self.missed);
        let since = |id| (id, before.get(&id).copied().unwrap_or(now));
        self.missed = removed.map(since).collect();
        let over = self.missed.iter();
        let over = over.filter(|(_, since)| now.saturating_duration_since(**since) >= GRACE);
        let refused: BTreeSet<NodeId> = over.map(|(id, _)| *id).collect();
        if refused == self.nodes {
            return false;
        }
        for id in refused.difference(&self.nodes) {
            tracing::info!(node = %id, "a removed node is refused from now on");
        }
        self.nodes = refused;
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

    /// A state, who is refused, and a clock.
    struct Watch {
        fake: FakeProposer,
        refused: Refused,
        begin: Instant,
    }

    impl Watch {
        fn of(nodes: &[u16]) -> Watch {
            let objects = nodes.iter().map(|n| node(*n).into()).collect();
            let mut watch = Watch {
                fake: FakeProposer::new(objects),
                refused: Refused::default(),
                begin: Instant::now(),
            };
            assert!(!watch.look(0, &[1]));
            watch
        }

        /// A look so many milliseconds after the beginning.
        fn look(&mut self, millis: u64, members: &[u16]) -> bool {
            let members = members.iter().map(|n| node_id(u128::from(*n))).collect();
            let now = self.begin + Duration::from_millis(millis);
            self.refused.look(&self.fake.view(), &members, now)
        }

        fn remove(&self, n: u16) {
            let id = node_id(u128::from(n));
            let node = Node::clone(self.fake.view().node(id).unwrap());
            self.fake.write(vec![Change::remove(node)]);
        }

        fn refuses(&self) -> Vec<NodeIdentity> {
            let cluster = ClusterId::from_entropy(1);
            self.refused.identities(cluster).collect()
        }
    }

    #[tokio::test]
    async fn a_removed_node_is_refused_in_both_roles_after_the_grace() {
        let mut watch = Watch::of(&[1, 2]);
        watch.remove(2);
        assert!(!watch.look(100, &[1]));
        assert!(!watch.look(499, &[1]));
        assert!(watch.refuses().is_empty());
        assert!(watch.look(500, &[1]));
        let all = watch.refuses();
        let roles = all.iter().map(|identity| identity.role);
        assert_eq!(roles.collect::<Vec<_>>(), [Role::Worker, Role::Manager]);
        assert!(all.iter().all(|identity| identity.node == node_id(2)));
        assert!(!watch.look(600, &[1]), "nothing new");
    }

    #[tokio::test]
    async fn a_removed_manager_is_heard_until_the_log_has_let_it_go() {
        let mut watch = Watch::of(&[1, 2]);
        watch.remove(2);
        for look in 1..50 {
            assert!(!watch.look(look * 100, &[1, 2]));
        }
        assert!(!watch.look(5_000, &[1]));
        assert!(watch.look(5_400, &[1]));
    }

    #[tokio::test]
    async fn a_node_that_is_there_again_is_welcome() {
        let mut watch = Watch::of(&[1, 2]);
        watch.remove(2);
        watch.look(100, &[1]);
        watch.look(500, &[1]);
        watch.fake.write(vec![Change::create(node(2))]);
        assert!(watch.look(600, &[1]));
        assert!(watch.refuses().is_empty());
    }

    #[tokio::test]
    async fn a_removal_that_came_in_a_snapshot_is_known_as_well() {
        let mut watch = Watch::of(&[1, 2]);
        watch.remove(2);
        let state = State::from_snapshot(watch.fake.view().to_snapshot());
        let (mut fresh, members) = (Refused::default(), BTreeSet::from([node_id(1)]));
        fresh.look(&state, &members, watch.begin);
        assert!(fresh.look(&state, &members, watch.begin + GRACE));
        watch.refused = fresh;
        assert_eq!(watch.refuses().len(), 2);
    }
}
