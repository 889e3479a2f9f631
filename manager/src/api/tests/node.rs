use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::member;
use crate::api::tests::refused;
use crate::fixture::node;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::Role;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

fn down(mut node: Node) -> Node {
    node.status.state = NodeState::Down;
    node
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

async fn remove(house: &House, target: &str, force: bool) -> Result<String, Status> {
    let request = wire::RemoveNodeRequest {
        request_id: String::new(),
        target: target.to_owned(),
        force,
        revoke: false,
    };
    let answer = house.control.remove_node(Request::new(request)).await?;
    Ok(answer.into_inner().node_id)
}

async fn update(house: &House, request: wire::UpdateNodeRequest) -> Result<wire::NodeSpec, Status> {
    let answer = house.control.update_node(Request::new(request)).await?;
    Ok(answer.into_inner().node.unwrap().spec.unwrap())
}

fn label(key: &str, value: &str) -> wire::Label {
    wire::Label {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test]
async fn a_worker_is_removed_only_when_it_is_down_or_by_force() {
    let house = house(vec![node(1).into(), down(node(2)).into(), node(3).into()]);
    refused(
        remove(&house, "n1", false).await,
        Code::FailedPrecondition,
        &["node n1 is ready", "--force"],
    );
    assert!(remove(&house, "n2", false).await.is_ok());
    assert!(remove(&house, "n3", true).await.is_ok());
    assert_eq!(house.fake.view().nodes().count(), 1);
    let unknown = remove(&house, "n2", false).await;
    refused(unknown, Code::NotFound, &["no node \"n2\"", "n1"]);
}

#[tokio::test]
async fn a_manager_is_removed_only_when_it_is_down_and_by_force() {
    let house = house(vec![manager(1).into(), down(manager(2)).into()]);
    for (target, force) in [("n1", false), ("n1", true), ("n2", false)] {
        refused(
            remove(&house, target, force).await,
            Code::FailedPrecondition,
            &["is a manager", "weft cluster leave"],
        );
    }
    assert!(remove(&house, "n2", true).await.is_ok());
}

#[tokio::test]
async fn availability_and_labels_are_changed_and_nothing_else() {
    let house = house(vec![node(1).into(), node(2).into()]);
    let request = wire::UpdateNodeRequest {
        target: "n2".to_owned(),
        availability: Some(wire::Availability::Drain.into()),
        add_labels: vec![label("disk", "ssd"), label("rack", "7")],
        ..wire::UpdateNodeRequest::default()
    };
    let spec = update(&house, request.clone()).await.unwrap();
    assert_eq!(spec.availability(), wire::Availability::Drain);
    assert_eq!(spec.labels.len(), 2);
    let before = house.fake.proposals();
    update(&house, request).await.unwrap();
    assert_eq!(
        house.fake.proposals(),
        before,
        "the same again writes nothing"
    );
    let request = wire::UpdateNodeRequest {
        target: "n2".to_owned(),
        remove_labels: vec!["rack".to_owned(), "never".to_owned()],
        ..wire::UpdateNodeRequest::default()
    };
    let spec = update(&house, request).await.unwrap();
    assert_eq!(spec.availability(), wire::Availability::Drain);
    assert_eq!(spec.labels, [label("disk", "ssd")]);
}

#[tokio::test]
async fn a_bad_change_of_a_node_is_refused() {
    let house = house(vec![node(1).into()]);
    let request = |availability, add_labels| wire::UpdateNodeRequest {
        target: "n1".to_owned(),
        availability,
        add_labels,
        ..wire::UpdateNodeRequest::default()
    };
    for number in [0, 99, -1] {
        let bad = update(&house, request(Some(number), Vec::new())).await;
        refused(bad, Code::InvalidArgument, &["availability"]);
    }
    let bad = update(&house, request(None, vec![label("", "x")])).await;
    refused(bad, Code::InvalidArgument, &["labels[0]"]);
    assert_eq!(house.fake.proposals(), 0);
}

#[tokio::test]
async fn nodes_of_one_host_name_are_told_apart_and_the_answering_one_is_self() {
    let mut twin = node(2);
    twin.description.hostname = "n1".to_owned();
    let house = house(vec![node(1).into(), twin.into(), node(3).into()]);
    let both = remove(&house, "n1", true).await;
    refused(
        both,
        Code::InvalidArgument,
        &["several nodes", node(1).id.as_str(), node(2).id.as_str()],
    );
    let own = wire::UpdateNodeRequest {
        target: "self".to_owned(),
        availability: Some(wire::Availability::Pause.into()),
        ..wire::UpdateNodeRequest::default()
    };
    update(&house, own).await.unwrap();
    let view = house.fake.view();
    let changed = view.node(node(1).id).unwrap();
    assert_eq!(changed.spec.availability.to_string(), "pause");
}

#[tokio::test]
async fn the_list_names_leader_answerer_and_members() {
    let house = house(vec![node(2).into(), manager(1).into()]);
    let request = Request::new(wire::ListNodesRequest::default());
    let list = house
        .control
        .list_nodes(request)
        .await
        .unwrap()
        .into_inner();
    let names: Vec<_> = list
        .nodes
        .iter()
        .map(|node| node.description.as_ref().unwrap().hostname.as_str())
        .collect();
    assert_eq!(names, ["n1", "n2"]);
    assert_eq!(list.leader_node_id, manager(1).id.to_string());
    assert_eq!(list.self_node_id, manager(1).id.to_string());
    assert_eq!(list.members.len(), 1);
}

async fn set_role(house: &House, target: &str, role: wire::NodeRole) -> Result<(), Status> {
    let request = wire::UpdateNodeRequest {
        target: target.to_owned(),
        role: Some(role.into()),
        ..wire::UpdateNodeRequest::default()
    };
    update(house, request).await.map(drop)
}

/// Three managers and a worker; only these answer.
fn three(answering: &[u16]) -> House {
    let nodes = [manager(1), manager(2), manager(3), node(4)];
    let house = house(nodes.map(Into::into).to_vec());
    let members = [1, 2, 3].map(|n| member(n, answering.contains(&n)));
    *house.members.0.lock() = members.to_vec();
    house
}

#[tokio::test]
async fn promotion_says_what_a_node_is_to_be_and_gives_it_no_raft_id_yet() {
    let house = three(&[1, 2, 3]);
    set_role(&house, "n4", wire::NodeRole::Manager)
        .await
        .unwrap();
    let node = house.fake.view().node(node(4).id).cloned().unwrap();
    assert_eq!((node.spec.role, node.manager), (Role::Manager, None));
    set_role(&house, "n4", wire::NodeRole::Worker)
        .await
        .unwrap();
    let bad = set_role(&house, "n4", wire::NodeRole::Unspecified).await;
    refused(bad, Code::InvalidArgument, &["role"]);
}

#[tokio::test]
async fn demotion_is_refused_when_the_rest_could_not_decide_and_counts_those_under_way() {
    let house = three(&[1, 2]);
    refused(
        set_role(&house, "n2", wire::NodeRole::Worker).await,
        Code::FailedPrecondition,
        &["of 3 managers 2 answer; without n2 only 1 of 2 would answer"],
    );
    assert_eq!(house.fake.proposals(), 0);
    set_role(&house, "n3", wire::NodeRole::Worker)
        .await
        .unwrap();
    let view = house.fake.view();
    let three = view.node(node(3).id).unwrap();
    assert!(three.manager.is_some(), "until the others have let it go");
    // It still votes, and is counted as gone.
    set_role(&house, "n2", wire::NodeRole::Worker)
        .await
        .unwrap();
    refused(
        set_role(&house, "n1", wire::NodeRole::Worker).await,
        Code::FailedPrecondition,
        &["n1 is the last manager"],
    );
}

#[tokio::test]
async fn a_manager_on_its_way_out_is_promoted_only_when_it_is_out() {
    let house = three(&[1, 2, 3]);
    set_role(&house, "n3", wire::NodeRole::Worker)
        .await
        .unwrap();
    refused(
        set_role(&house, "n3", wire::NodeRole::Manager).await,
        Code::FailedPrecondition,
        &["just being made a worker"],
    );
}

async fn revoke(house: &House, target: &str) -> Result<String, Status> {
    let request = wire::RemoveNodeRequest {
        request_id: String::new(),
        target: target.to_owned(),
        force: false,
        revoke: true,
    };
    let answer = house.control.remove_node(Request::new(request)).await?;
    Ok(answer.into_inner().node_id)
}

#[tokio::test]
async fn a_node_is_revoked_whatever_it_does_and_a_manager_only_with_a_margin() {
    let nodes = [manager(1), manager(2), manager(3), node(4)];
    let house = house(nodes.map(Into::into).to_vec());
    revoke(&house, "n4").await.unwrap();
    refused(
        revoke(&house, "n1").await,
        Code::FailedPrecondition,
        &["itself", "another manager"],
    );
    *house.members.0.lock() = vec![member(1, true), member(2, true), member(3, false)];
    refused(
        revoke(&house, "n2").await,
        Code::FailedPrecondition,
        &["n2", "could not decide", "weft node promote"],
    );
    *house.members.0.lock() = vec![member(1, true), member(2, true), member(3, true)];
    revoke(&house, "n3").await.unwrap();
    assert_eq!(house.fake.view().nodes().count(), 2);
}
