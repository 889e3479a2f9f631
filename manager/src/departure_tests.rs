use super::*;
use crate::fixture::cluster;
use crate::fixture::node;
use crate::propose::fake::FakeProposer;
use parking_lot::Mutex;
use tonic::Code;
use weft_pki::says_removed;

/// A group of which tests say who is in it.
#[derive(Default)]
struct Told(Mutex<Vec<wire::ManagerMember>>);

impl Members for Told {
    fn this_node(&self) -> NodeId {
        node(1).id
    }
    fn leader(&self) -> Option<NodeId> {
        Some(node(1).id)
    }
    fn members(&self) -> Vec<wire::ManagerMember> {
        self.0.lock().clone()
    }
}

struct World {
    fake: Arc<FakeProposer>,
    told: Arc<Told>,
    service: MembershipService,
}

fn manager(n: u16) -> Node {
    let mut node = node(n);
    node.spec.role = Role::Manager;
    node.manager = Some(ManagerStatus {
        raft_id: n.into(),
        addr: format!("192.0.2.{n}:2377").parse().unwrap(),
    });
    node
}

fn member(n: u16, reachable: bool) -> wire::ManagerMember {
    wire::ManagerMember {
        node_id: node(n).id.to_string(),
        raft_id: n.into(),
        voter: true,
        reachable,
        agents: 0,
        ..wire::ManagerMember::default()
    }
}

fn world(nodes: Vec<Node>, members: Vec<wire::ManagerMember>) -> World {
    let mut objects = vec![cluster().into()];
    objects.extend(nodes.into_iter().map(Into::into));
    let fake = Arc::new(FakeProposer::new(objects));
    let told = Arc::new(Told(Mutex::new(members)));
    let service = MembershipService::new(fake.clone(), told.clone());
    World {
        fake,
        told,
        service,
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The removal is delayed here as an election would delay it: the answer must wait for it.
#[tokio::test]
async fn a_leaving_manager_is_told_so_only_when_its_voice_counts_no_longer() {
    let world = world(
        vec![manager(1), manager(2)],
        vec![member(1, true), member(2, true)],
    );
    let service = world.service.clone();
    let leaving = tokio::spawn(async move { service.forget(node(2).id).await });
    sleep(LOOK * 20).await;
    assert!(
        world.fake.view().node(node(2).id).is_none(),
        "it is written down at once"
    );
    assert!(!leaving.is_finished(), "its vote is still needed");
    world.told.0.lock().pop();
    leaving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_manager_whose_voice_is_needed_cannot_leave() {
    let members = vec![member(1, true), member(2, true), member(3, false)];
    let world = world(vec![manager(1), manager(2), manager(3)], members);
    let refused = world.service.forget(node(2).id).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("without n2 only 1 of 2"),
        "{refused}"
    );
    assert_eq!(world.fake.proposals(), 0);
}

#[tokio::test]
async fn a_node_to_be_promoted_gets_a_raft_id_that_nobody_had_and_keeps_it() {
    let mut chosen = node(2);
    chosen.spec.role = Role::Manager;
    let world = world(vec![manager(1), chosen], vec![member(1, true)]);
    let at = addr("192.0.2.2:2377");
    let first = world.service.announce(node(2).id, at).await.unwrap();
    assert_eq!(first.raft_id, cluster().next_raft_id);
    let again = world.service.announce(node(2).id, at).await.unwrap();
    assert_eq!(again, first, "asked again, nothing changes");
    let view = world.fake.view();
    assert_eq!(view.cluster().unwrap().next_raft_id, first.raft_id + 1);
    let moved = addr("192.0.2.22:2377");
    let third = world.service.announce(node(2).id, moved).await.unwrap();
    assert_eq!(third.raft_id, first.raft_id, "moved, and still the same");
    assert!(third.version > first.version);
    let manager = world.fake.view().node(node(2).id).unwrap().manager;
    assert_eq!(manager.unwrap().addr, moved);
}

#[tokio::test]
async fn nobody_becomes_a_manager_by_saying_so_or_takes_anothers_address() {
    let world = world(vec![manager(1), node(2)], vec![member(1, true)]);
    let at = addr("192.0.2.2:2377");
    let refused = world.service.announce(node(2).id, at).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let taken = addr("192.0.2.1:2377");
    let refused = world.service.announce(node(2).id, taken).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let nowhere = addr("0.0.0.0:2377");
    let refused = world
        .service
        .announce(node(2).id, nowhere)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(world.fake.proposals(), 0);
}

#[tokio::test]
async fn a_removed_node_is_told_so_beyond_doubt_and_a_stranger_is_not() {
    let world = world(vec![manager(1), node(2)], vec![member(1, true)]);
    let two = Node::clone(world.fake.view().node(node(2).id).unwrap());
    world.fake.write(vec![Change::remove(two)]);
    let view = world.fake.view();
    let removed = standing(&view, node(2).id).unwrap_err();
    assert!(says_removed(&removed) && removed.message().contains("weft cluster join"));
    let stranger = standing(&view, node(9).id).unwrap_err();
    assert!(!says_removed(&stranger));
}
