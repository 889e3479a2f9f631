use crate::ca::AddressError;
use crate::ca::BootstrapError;
use crate::ca::bootstrap;
use crate::ca::tests::found;
use crate::ca::tests::founding;
use crate::ca::tests::house_of;
use crate::ca::tests::now;
use weft_pki::JoinToken;
use weft_proto::Role;
use weft_proto::object::NodeState;

#[test]
fn a_new_cluster_is_one_transaction_and_one_manager() {
    let founded = found(now());
    let own = founded.credentials.identity();
    assert_eq!(own.role, Role::Manager);
    assert_eq!(founded.raft_id, 1);
    let token = founded.worker_token.clone();
    let house = house_of(founded.changes, now());
    let cluster = house.cluster();
    assert_eq!((cluster.id, cluster.next_raft_id), (own.cluster, 2));
    assert_eq!(cluster.worker_token, token);
    let view = house.fake.view();
    let node = view.node(own.node).unwrap();
    assert_eq!(node.manager.unwrap().raft_id, 1);
    assert_eq!(node.number.get(), 1);
    assert_eq!(node.status.state, NodeState::Unknown);
}

#[test]
fn the_tokens_of_a_new_cluster_are_for_their_roles_and_pin_its_root() {
    let founded = found(now());
    let root = founded.credentials.root().digest();
    let cluster = house_of(founded.changes, now()).cluster();
    for (text, role) in [
        (cluster.worker_token, Role::Worker),
        (cluster.manager_token, Role::Manager),
    ] {
        let token = JoinToken::parse(&text).unwrap();
        assert_eq!((token.role(), token.root()), (role, root));
        assert_eq!(token.cluster(), cluster.id);
    }
}

#[test]
fn a_founding_shows_no_secret_in_debug() {
    let shown = format!("{:?}", found(now()));
    assert!(
        !shown.contains("WFTKN") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}

#[test]
fn a_founder_needs_an_address_that_others_can_reach() {
    let mut unspecified = founding(now());
    unspecified.advertise_addr = "0.0.0.0:2377".parse().unwrap();
    let mut portless = founding(now());
    portless.advertise_addr = "192.0.2.1:0".parse().unwrap();
    let mut ingress = founding(now());
    ingress.data_addr = "10.255.0.1".parse().unwrap();
    let error = |founding| match bootstrap(founding) {
        Err(BootstrapError::Address(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        error(unspecified),
        AddressError::Unreachable { .. }
    ));
    assert!(matches!(error(portless), AddressError::NoPort { .. }));
    assert!(matches!(error(ingress), AddressError::InIngress { .. }));
}
