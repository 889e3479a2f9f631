//! People over real connections: what each role may do, and that removal holds at once.

use super::World;
use super::founded;
use crate::acting::STACK_LABEL;
use crate::fixture;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;
use weft_pki::CertificateChain;
use weft_pki::PrivateKey;
use weft_pki::UserCredentials;
use weft_pki::certificate_request;
use weft_pki::user_channel;
use weft_proto::wire;
use weft_proto::wire::UserRole;
use weft_proto::wire::control_client::ControlClient;
use weft_proto::wire::dispatcher_client::DispatcherClient;

/// Longer than anything here takes, however busy the machine.
const CEILING: Duration = Duration::from_secs(60);

impl World {
    /// A user by the node's own socket.
    pub(super) async fn person(
        &self,
        name: &str,
        role: UserRole,
        stack: &str,
    ) -> (Channel, PrivateKey) {
        let key = PrivateKey::generate().unwrap();
        let request = wire::CreateUserRequest {
            name: name.to_owned(),
            role: role.into(),
            stack: stack.to_owned(),
            csr_der: certificate_request(&key).unwrap(),
            ..wire::CreateUserRequest::default()
        };
        let made = self.socket().create_user(request).await.unwrap();
        let certificate = made.into_inner().certificate.unwrap();
        let chain = CertificateChain::from_der(certificate.chain_der).unwrap();
        let own = UserCredentials::new(key.clone(), chain, vec![self.root.clone()]).unwrap();
        (user_channel(self.addr, Arc::new(own)), key)
    }

    async fn control_of(&self, name: &str, role: UserRole, stack: &str) -> ControlClient<Channel> {
        ControlClient::new(self.person(name, role, stack).await.0)
    }
}

#[track_caller]
fn denied<T: std::fmt::Debug>(answer: Result<T, Status>, part: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    assert!(status.message().contains(part), "{status}");
}

fn network(n: u8, stack: Option<&str>) -> wire::CreateNetworkRequest {
    let mut spec = wire::NetworkSpec::from(&fixture::network(n).spec);
    spec.labels = labels(stack);
    wire::CreateNetworkRequest {
        spec: Some(spec),
        ..wire::CreateNetworkRequest::default()
    }
}

fn labels(stack: Option<&str>) -> Vec<wire::Label> {
    let label = |value: &str| wire::Label {
        key: STACK_LABEL.to_owned(),
        value: value.to_owned(),
    };
    stack.map(label).into_iter().collect()
}

fn service(n: u8, stack: Option<&str>, net: &str) -> wire::ServiceSpec {
    let mut spec = wire::ServiceSpec::from(&fixture::service(n, 1).spec);
    spec.labels = labels(stack);
    let attachment = |net: &str| wire::NetworkAttachment {
        network_id: net.to_owned(),
        aliases: Vec::new(),
    };
    let networks = Some(net).filter(|net| !net.is_empty());
    spec.task.as_mut().unwrap().networks = networks.map(attachment).into_iter().collect();
    spec
}

fn create(spec: wire::ServiceSpec) -> wire::CreateServiceRequest {
    wire::CreateServiceRequest {
        spec: Some(spec),
        ..wire::CreateServiceRequest::default()
    }
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_and_the_audit_log_names_who_did() {
    let dir = tempfile::tempdir().unwrap();
    let world = founded(&dir.path().join("raft")).await;
    let (viewer_channel, _) = world.person("vera", UserRole::Viewer, "").await;
    let mut viewer = ControlClient::new(viewer_channel.clone());
    let mut operator = world.control_of("otto", UserRole::Operator, "").await;
    let mut admin = world.control_of("ada", UserRole::Admin, "").await;
    let list = wire::ListNodesRequest::default;
    for person in [&mut viewer, &mut operator, &mut admin] {
        person.list_nodes(list()).await.unwrap();
    }
    denied(viewer.create_network(network(1, None)).await, "role viewer");
    operator.create_network(network(1, None)).await.unwrap();
    let token = |rotate| wire::GetJoinTokenRequest {
        request_id: String::new(),
        role: wire::NodeRole::Worker.into(),
        rotate,
    };
    denied(viewer.get_join_token(token(false)).await, "ask an admin");
    denied(operator.get_join_token(token(true)).await, "ask an admin");
    admin.get_join_token(token(false)).await.unwrap();
    let node = |role, availability| wire::UpdateNodeRequest {
        target: "n1".to_owned(),
        role,
        availability,
        ..wire::UpdateNodeRequest::default()
    };
    let pause = Some(wire::Availability::Pause.into());
    operator.update_node(node(None, pause)).await.unwrap();
    let worker = Some(wire::NodeRole::Worker.into());
    denied(
        operator.update_node(node(worker, None)).await,
        "only admins",
    );
    let audit = wire::ListAuditRequest::default;
    denied(operator.list_audit(audit()).await, "ask an admin");
    let records = admin.list_audit(audit()).await.unwrap().into_inner();
    let actors: Vec<_> = records
        .records
        .into_iter()
        .filter_map(|one| one.actor)
        .collect();
    let otto = actors
        .iter()
        .find(|actor| actor.call == "Control/CreateNetwork");
    let otto = otto.unwrap();
    assert!(otto.identity.ends_with("/user/otto"), "{otto:?}");
    assert!(otto.origin.starts_with("127.0.0.1:"), "{otto:?}");
    // A person is no node.
    let hello = futures::stream::iter([wire::AgentMessage::default()]);
    let session = DispatcherClient::new(viewer_channel).session(hello).await;
    denied(session, "Dispatcher/Session");
    world.manager.shutdown().await;
}

#[tokio::test]
async fn a_user_who_was_removed_is_cut_and_another_of_her_name_is_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = founded(&dir.path().join("raft")).await;
    let mut old = world.control_of("alice", UserRole::Operator, "").await;
    let watch = old.watch(wire::WatchRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    watch.message().await.unwrap().unwrap();
    let target = "alice".to_owned();
    let gone = wire::RemoveUserRequest { target };
    world.socket().remove_user(gone).await.unwrap();
    let end = async {
        loop {
            if let Err(status) = watch.message().await {
                return status;
            }
        }
    };
    let end = tokio::time::timeout(CEILING, end).await.unwrap();
    denied::<()>(Err(end), "rights of user alice");
    let list = wire::ListNodesRequest::default;
    denied(old.list_nodes(list()).await, "was removed");
    let mut new = world.control_of("alice", UserRole::Viewer, "").await;
    new.list_nodes(list()).await.unwrap();
    denied(old.list_nodes(list()).await, "another certificate");
    let promoted = wire::UpdateUserRequest {
        target: "alice".to_owned(),
        role: Some(UserRole::Operator.into()),
        ..wire::UpdateUserRequest::default()
    };
    denied(new.create_network(network(1, None)).await, "role viewer");
    world.socket().update_user(promoted).await.unwrap();
    new.create_network(network(1, None)).await.unwrap();
    world.manager.shutdown().await;
}

#[tokio::test]
async fn a_person_of_a_stack_sees_and_changes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = founded(&dir.path().join("raft")).await;
    let mut socket = world.socket();
    socket.create_network(network(9, None)).await.unwrap();
    socket
        .create_service(create(service(9, None, "")))
        .await
        .unwrap();
    let mut carol = world.control_of("carol", UserRole::Operator, "shop").await;
    denied(
        carol.create_network(network(1, None)).await,
        "--label weft.stack=shop",
    );
    carol
        .create_network(network(1, Some("shop")))
        .await
        .unwrap();
    denied(
        carol.create_service(create(service(1, None, ""))).await,
        "weft.stack=shop",
    );
    denied(
        carol
            .create_service(create(service(1, Some("other"), "")))
            .await,
        "weft.stack=shop",
    );
    let elsewhere = create(service(1, Some("shop"), "net9"));
    let status = carol.create_service(elsewhere).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("net9"), "{status}");
    carol
        .create_service(create(service(1, Some("shop"), "net1")))
        .await
        .unwrap();
    let listed = carol
        .list_services(wire::ListServicesRequest::default())
        .await;
    let listed = listed.unwrap().into_inner().services;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let networks = carol
        .list_networks(wire::ListNetworksRequest::default())
        .await;
    assert_eq!(networks.unwrap().into_inner().networks.len(), 1);
    let tasks = carol.list_tasks(wire::ListTasksRequest::default()).await;
    let tasks = tasks.unwrap().into_inner().tasks;
    assert!(
        tasks.iter().all(|task| task.service_name == "svc1"),
        "{tasks:?}"
    );
    let update = |target: &str, spec| wire::UpdateServiceRequest {
        target: target.to_owned(),
        spec: Some(spec),
        ..wire::UpdateServiceRequest::default()
    };
    let free = update("svc1", service(1, None, ""));
    denied(carol.update_service(free).await, "weft.stack=shop");
    let missing = |code: Code, status: Status| {
        assert_eq!(status.code(), code, "{status}");
        assert!(!status.message().contains("stack"), "{status}");
    };
    let theirs = update("svc9", service(9, Some("shop"), ""));
    missing(
        Code::NotFound,
        carol.update_service(theirs).await.unwrap_err(),
    );
    let target = "svc9".to_owned();
    let remove = wire::RemoveServiceRequest {
        request_id: String::new(),
        target,
    };
    missing(
        Code::NotFound,
        carol.remove_service(remove).await.unwrap_err(),
    );
    let target = "net9".to_owned();
    let remove = wire::RemoveNetworkRequest {
        request_id: String::new(),
        target,
    };
    missing(
        Code::NotFound,
        carol.remove_network(remove).await.unwrap_err(),
    );
    let logs = wire::ServiceLogsRequest {
        target: "svc9".to_owned(),
        ..wire::ServiceLogsRequest::default()
    };
    missing(Code::NotFound, carol.service_logs(logs).await.unwrap_err());
    denied(
        carol.watch(wire::WatchRequest::default()).await,
        "limited to a stack",
    );
    denied(
        carol.list_nodes(wire::ListNodesRequest::default()).await,
        "as you are to shop",
    );
    world.manager.shutdown().await;
}
