use super::*;
use crate::fixture::node;
use crate::propose::fake::FakeProposer;
use std::time::SystemTime;
use weft_pki::Authority;
use weft_pki::Credentials;
use weft_pki::NodeIdentity;
use weft_pki::PrivateKey;
use weft_pki::Root;
use weft_pki::certificate_request;
use weft_proto::Role;
use weft_proto::command::Expect;
use weft_proto::object::Cluster;
use weft_proto::object::Node;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;

fn now() -> SystemTime {
    SystemClock.now()
}

fn founded() -> (Cluster, Vec<Node>) {
    let mut cluster = crate::fixture::cluster();
    let root = Root::create(cluster.id, now()).unwrap();
    cluster.root_certificate = root.cert().der().to_vec();
    cluster.root_key = root.key_pem().as_str().to_owned();
    let mut nodes = vec![node(1), node(2), node(3)];
    for node in &mut nodes {
        node.certificate = Some(issued(&cluster, node).summary());
    }
    (cluster, nodes)
}

fn issued(cluster: &Cluster, node: &Node) -> Credentials {
    let authority = Authority::of(cluster).unwrap();
    let identity = NodeIdentity {
        cluster: cluster.id,
        role: Role::Worker,
        node: node.id,
    };
    let key = PrivateKey::generate().unwrap();
    let request = certificate_request(&key).unwrap();
    let ttl = cluster.settings.certificate_ttl;
    let chain = authority.issue(&request, &identity, now(), ttl).unwrap();
    Credentials::new(key, chain, authority.trust().clone()).unwrap()
}

/// What the next manager has when the one before died: the state, out of its log.
fn successor(fake: &FakeProposer) -> State {
    State::from_snapshot(fake.view().to_snapshot())
}

/// One node gets what the cluster wants it to have, and says so.
fn comply(fake: &FakeProposer, n: u16) {
    let view = fake.view();
    let mut node = Node::clone(view.node(node(n).id).unwrap());
    node.certificate = Some(issued(view.cluster().unwrap(), &node).summary());
    fake.write(vec![Change::update(node)]);
}

fn put(fake: &FakeProposer, cluster: Cluster) {
    fake.write(vec![Change::Put {
        object: cluster.into(),
        expect: Expect::Any,
    }]);
}

fn stage(state: &State) -> Option<String> {
    let rotation = state.cluster().unwrap().rotation.as_ref();
    rotation.map(|rotation| rotation.stage.to_string())
}

#[test]
fn whoever_leads_goes_on_where_the_one_before_died_at_every_step() {
    let (cluster, nodes) = founded();
    let new = Root::create(cluster.id, now()).unwrap();
    let objects = nodes.into_iter().map(Into::into);
    let fake = FakeProposer::new(objects.collect());
    put(&fake, rotation::begin(&cluster, &new, now()).unwrap());
    let mut stages = Vec::new();
    while stage(&fake.view()).is_some() {
        stages.extend(stage(&fake.view()));
        assert!(stages.len() < 9, "no end: {stages:?}");
        for n in 1..=3 {
            assert_eq!(plan(&successor(&fake)), None, "not before node {n}");
            comply(&fake, n);
        }
        // The one that died had proposed the step already, or had not.
        let (dying, next) = (plan(&fake.view()), plan(&successor(&fake)));
        assert!(dying.is_some() && dying == next);
        if stages.len().is_multiple_of(2) {
            fake.write(dying.into_iter().collect());
            assert_eq!(
                fake_refuses(&fake, next),
                Some("version"),
                "it is not taken twice"
            );
        } else {
            fake.write(next.into_iter().collect());
        }
    }
    assert_eq!(stages, ["spreading", "issuing"]);
    let view = fake.view();
    assert_eq!(
        view.cluster().unwrap().root_certificate,
        new.cert().der().to_vec()
    );
    assert_eq!(plan(&successor(&fake)), None);
}

/// How a change that was decided before is refused; none if it is not.
fn fake_refuses(fake: &FakeProposer, change: Option<Change>) -> Option<&'static str> {
    use weft_proto::command::Command;
    use weft_proto::command::ConflictKind;
    let view = fake.view();
    let command = Command {
        id: weft_proto::CommandId::from_entropy(7_777),
        at: weft_proto::time::Timestamp::default(),
        changes: change.into_iter().collect(),
        actor: None,
    };
    let applied = crate::store::apply(&view, view.revision() + 1, &command);
    match applied.result {
        Err(conflict) if conflict.kind == ConflictKind::Version => Some("version"),
        Err(_) => Some("something else"),
        Ok(_) => None,
    }
}

#[test]
fn a_node_that_never_comes_back_is_waited_for_until_it_is_removed() {
    let (cluster, nodes) = founded();
    let new = Root::create(cluster.id, now()).unwrap();
    let fake = FakeProposer::new(nodes.into_iter().map(Into::into).collect());
    put(&fake, rotation::begin(&cluster, &new, now()).unwrap());
    comply(&fake, 1);
    comply(&fake, 2);
    assert_eq!(plan(&successor(&fake)), None);
    let gone = Node::clone(fake.view().node(node(3).id).unwrap());
    fake.write(vec![Change::remove(gone)]);
    assert!(plan(&successor(&fake)).is_some());
}
