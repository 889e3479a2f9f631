//! Every call that changes something leaves a record of who made it.

use super::World;
use super::founded;
use crate::authz::AuthorizeLayer;
use crate::fixture;
use prost::Message;
use std::collections::BTreeSet;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Layer;
use weft_proto::spec::Availability;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::wire;
use weft_proto::wire::control_client::ControlClient;

/// Calls that change nothing.
const READS: &[&str] = &[
    "Ca/Renew",
    "Control/GetCluster",
    "Control/ListNodes",
    "Control/ListNetworks",
    "Control/ListServices",
    "Control/ListTasks",
    "Control/ServiceLogs",
    "Control/Watch",
    "Control/StateHash",
    "Control/Backup",
    "Control/ListAudit",
    "Control/GetCa",
    "Control/GetKeys",
    "Control/ListUsers",
    "Control/ListJoinTokens",
    "Control/ListSecrets",
    "Control/ListConfigs",
    "Membership/GetStanding",
];

/// Changes that need more than this test has: a machine that waits to be let in, and a vault, whose
/// key this test would have to open again.
const ELSEWHERE: &[&str] = &[
    "Control/DecideNode",
    "Control/SetAutolock",
    "Control/GetUnlockKey",
];

/// Calls that this test makes, in its order, and what is recorded of each.
const CHANGES: &[(&str, &str)] = &[
    ("Ca/Issue", "created node n2"),
    (
        "Membership/Announce",
        "changed node n2: manager at 192.0.2.7:2377",
    ),
    ("Membership/Depart", "removed node n2"),
    ("Control/GetJoinToken", "rotated the manager token"),
    ("Control/UpdateNode", "changed node n1: availability pause"),
    ("Control/CreateNetwork", "created network net7"),
    ("Control/CreateService", "created service svc1"),
    ("Control/UpdateService", "changed service svc1: tasks"),
    ("Control/RollbackService", "changed service svc1: tasks"),
    ("Control/RemoveService", "removed service svc1"),
    ("Control/RemoveNetwork", "removed network net7"),
    ("Control/RemoveNode", "removed node n2"),
    (
        "Control/UpdateKeys",
        "keys of encrypted networks: a new one now, a new one every 60s",
    ),
    (
        "Control/UpdateCluster",
        "set the life of certificates to 3600 s",
    ),
    ("Control/RotateCa", "began a change of the root"),
    ("Control/CreateJoinToken", "created join-token spare"),
    ("Control/RemoveJoinToken", "removed join-token spare"),
    ("Control/CreateUser", "created user alice"),
    (
        "Control/RenewUser",
        "changed user alice: certificate renewed",
    ),
    ("Control/UpdateUser", "changed user alice: role viewer"),
    ("Control/RemoveUser", "removed user alice"),
    ("Control/CreateSecret", "created secret pass"),
    ("Control/UpdateSecret", "changed secret pass"),
    ("Control/RemoveSecret", "removed secret pass"),
    ("Control/CreateConfig", "created config conf"),
    ("Control/UpdateConfig", "changed config conf"),
    ("Control/RemoveConfig", "removed config conf"),
];

/// What people and joining nodes may call. What managers and agents do among themselves is no
/// person's doing; what is asked of a node on its own socket ends in one of these.
fn calls() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    services
        .filter(|service| matches!(service.name(), "Ca" | "Control" | "Membership"))
        .flat_map(|service| {
            let method = |name: &str| format!("{}/{name}", service.name());
            service.method.iter().map(move |one| method(one.name()))
        })
        .collect()
}

type Socket = ControlClient<crate::authz::Authorize<Routes>>;

impl World {
    /// The calls of the node's own socket.
    pub(super) fn socket(&self) -> Socket {
        let routes = self.manager.control_routes();
        ControlClient::new(Layer::<Routes>::layer(&AuthorizeLayer::local(), routes))
    }

    pub(super) async fn records(&self) -> Vec<wire::AuditRecord> {
        let request = wire::ListAuditRequest::default();
        let answer = self.socket().list_audit(request).await.unwrap();
        answer.into_inner().records
    }
}

/// A client needs bodies of tonic's own kind on both sides.
fn _is_a_client(socket: Socket) -> impl tonic::client::GrpcService<Body> {
    drop(socket);
    Routes::default()
}

fn service(env: &str) -> Option<wire::ServiceSpec> {
    let mut spec = wire::ServiceSpec::from(&fixture::service(1, 1).spec);
    spec.task.as_mut()?.env = vec![env.to_owned()];
    Some(spec)
}

async fn change_everything(world: &World) {
    let mut socket = world.socket();
    let mut node = world.worker().await;
    let target = "n2".to_owned();
    let promote = wire::UpdateNodeRequest {
        target: target.clone(),
        role: Some(wire::NodeRole::Manager.into()),
        ..wire::UpdateNodeRequest::default()
    };
    socket.update_node(promote).await.unwrap();
    let announce = wire::AnnounceRequest {
        advertise_addr: "192.0.2.7:2377".to_owned(),
    };
    node.announce(announce).await.unwrap();
    // As a manager it could not go while it is no part of the log; so another one does.
    let remove = wire::RemoveNodeRequest {
        request_id: String::new(),
        target,
        force: true,
        ..wire::RemoveNodeRequest::default()
    };
    socket.remove_node(remove.clone()).await.unwrap_err();
    let mut leaver = world.worker_at(3).await;
    leaver.depart(wire::DepartRequest {}).await.unwrap();
    let rotate = wire::GetJoinTokenRequest {
        request_id: String::new(),
        role: wire::NodeRole::Manager.into(),
        rotate: true,
    };
    socket.get_join_token(rotate).await.unwrap();
    let pause = wire::UpdateNodeRequest {
        target: "n1".to_owned(),
        availability: Some(wire::Availability::from(Availability::Pause).into()),
        ..wire::UpdateNodeRequest::default()
    };
    socket.update_node(pause).await.unwrap();
    let network = wire::CreateNetworkRequest {
        spec: Some((&fixture::network(7).spec).into()),
        ..wire::CreateNetworkRequest::default()
    };
    socket.create_network(network).await.unwrap();
    let create = wire::CreateServiceRequest {
        spec: service("A=1"),
        ..wire::CreateServiceRequest::default()
    };
    socket.create_service(create).await.unwrap();
    let target = "svc1".to_owned();
    let update = wire::UpdateServiceRequest {
        target: target.clone(),
        spec: service("A=2"),
        ..wire::UpdateServiceRequest::default()
    };
    socket.update_service(update).await.unwrap();
    let rollback = wire::RollbackServiceRequest {
        target: target.clone(),
        ..wire::RollbackServiceRequest::default()
    };
    socket.rollback_service(rollback).await.unwrap();
    let service = wire::RemoveServiceRequest {
        target,
        request_id: String::new(),
    };
    socket.remove_service(service).await.unwrap();
    let target = "net7".to_owned();
    let network = wire::RemoveNetworkRequest {
        target,
        request_id: String::new(),
    };
    socket.remove_network(network).await.unwrap();
    world.worker_at(4).await;
    let target = "n4".to_owned();
    let remove = wire::RemoveNodeRequest {
        request_id: String::new(),
        target,
        force: true,
        ..wire::RemoveNodeRequest::default()
    };
    socket.remove_node(remove).await.unwrap();
    let keys = wire::UpdateKeysRequest {
        rotate: true,
        rotation_ms: Some(60_000),
        ..wire::UpdateKeysRequest::default()
    };
    socket.update_keys(keys).await.unwrap();
    let cluster = wire::UpdateClusterRequest {
        certificate_ttl_ms: Some(3_600_000),
        ..wire::UpdateClusterRequest::default()
    };
    socket.update_cluster(cluster).await.unwrap();
    let root = wire::RotateCaRequest {
        at_ms: SystemClock.timestamp().as_millis(),
        ..wire::RotateCaRequest::default()
    };
    socket.rotate_ca(root).await.unwrap();
    change_people(world, &mut socket).await;
    change_tokens(&mut socket).await;
    change_materials(&mut socket).await;
}

async fn change_tokens(socket: &mut Socket) {
    let target = "spare".to_owned();
    let create = wire::CreateJoinTokenRequest {
        role: wire::NodeRole::Worker.into(),
        name: target.clone(),
        ..wire::CreateJoinTokenRequest::default()
    };
    socket.create_join_token(create).await.unwrap();
    let remove = wire::RemoveJoinTokenRequest { target };
    socket.remove_join_token(remove).await.unwrap();
}

async fn change_materials(socket: &mut Socket) {
    let create = |name: &str| wire::CreateMaterialRequest {
        spec: Some(wire::MaterialSpec {
            name: name.to_owned(),
            ..wire::MaterialSpec::default()
        }),
        data: b"one".to_vec(),
        ..wire::CreateMaterialRequest::default()
    };
    let update = |name: &str| wire::UpdateMaterialRequest {
        target: name.to_owned(),
        data: b"two".to_vec(),
        ..wire::UpdateMaterialRequest::default()
    };
    let remove = |name: &str| wire::RemoveMaterialRequest {
        request_id: String::new(),
        target: name.to_owned(),
    };
    socket.create_secret(create("pass")).await.unwrap();
    socket.update_secret(update("pass")).await.unwrap();
    socket.remove_secret(remove("pass")).await.unwrap();
    socket.create_config(create("conf")).await.unwrap();
    socket.update_config(update("conf")).await.unwrap();
    socket.remove_config(remove("conf")).await.unwrap();
}

async fn change_people(world: &World, socket: &mut Socket) {
    let (channel, key) = world.person("alice", wire::UserRole::Operator, "").await;
    let target = "alice".to_owned();
    let update = wire::UpdateUserRequest {
        target: target.clone(),
        role: Some(wire::UserRole::Viewer.into()),
        // So that the next certificate ends at another time.
        ttl_ms: Some(3_600_000),
        ..wire::UpdateUserRequest::default()
    };
    socket.update_user(update).await.unwrap();
    let renew = wire::RenewUserRequest {
        csr_der: weft_pki::certificate_request(&key).unwrap(),
    };
    ControlClient::new(channel).renew_user(renew).await.unwrap();
    let remove = wire::RemoveUserRequest { target };
    socket.remove_user(remove).await.unwrap();
}

#[tokio::test]
async fn every_call_that_changes_something_leaves_a_record() {
    let told: BTreeSet<String> = READS
        .iter()
        .chain(ELSEWHERE)
        .copied()
        .chain(CHANGES.iter().map(|(call, _)| *call))
        .map(str::to_owned)
        .collect();
    let untold: Vec<_> = calls().difference(&told).cloned().collect();
    assert!(
        untold.is_empty(),
        "say in READS or CHANGES what these do: {untold:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    let world = founded(&dir.path().join("raft")).await;
    change_everything(&world).await;
    let records = world.records().await;
    let mut last = 0;
    for record in &records {
        let actor = record.actor.as_ref().unwrap();
        assert!(record.revision > last && record.at_ms > 0, "{record:?}");
        last = record.revision;
        let (who, from) = (&actor.identity, &actor.origin);
        match actor.call.as_str() {
            "Ca/Issue" => assert_eq!(who, "token/worker"),
            "Control/RenewUser" => assert!(who.ends_with("/user/alice"), "{who}"),
            call if call.starts_with("Membership/") => assert!(who.contains("/worker/"), "{who}"),
            _ => assert_eq!(who, "local"),
        }
        let socket = actor.call.starts_with("Control/") && actor.call != "Control/RenewUser";
        let right = if socket { "socket of n1" } else { "127.0.0.1:" };
        assert!(from.starts_with(right), "{record:?}");
    }
    for (call, summary) in CHANGES {
        let found = records.iter().any(|record| {
            let actor = record.actor.as_ref().unwrap();
            actor.call == *call && same(&actor.summary, summary)
        });
        assert!(found, "{call}: {summary:?} is not in {records:#?}");
    }
    // What loops and agents write is nobody's doing.
    assert_eq!(records.len(), CHANGES.len() + 3, "{records:#?}");
    world.manager.shutdown().await;
}

/// Nodes are numbered as they come.
fn same(said: &str, expected: &str) -> bool {
    let plain = |text: &str| text.replace("n3", "n2").replace("n4", "n2");
    plain(said) == plain(expected)
}
