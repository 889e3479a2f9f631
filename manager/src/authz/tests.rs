use crate::authz::AuthorizeLayer;
use crate::authz::Caller;
use crate::authz::Denied;
use crate::authz::authorize;
use crate::authz::table::TABLE;
use prost::Message;
use std::collections::BTreeSet;
use std::convert::Infallible;
use tonic::Code;
use tonic::Status;
use tower::Layer;
use tower::ServiceExt;
use tower::service_fn;
use weft_pki::NodeIdentity;
use weft_pki::PeerIdentity;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::wire;

const ALL: [Caller; 4] = [
    Caller::LocalSocket,
    Caller::Manager,
    Caller::Worker,
    Caller::Anonymous,
];

fn described_calls() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap();
    set.file
        .iter()
        .flat_map(|file| {
            file.service.iter().flat_map(move |service| {
                service.method.iter().map(move |method| {
                    format!("/{}.{}/{}", file.package(), service.name(), method.name())
                })
            })
        })
        .collect()
}

#[test]
fn every_call_has_exactly_one_row_and_every_row_a_call() {
    let rows: BTreeSet<String> = TABLE.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(rows.len(), TABLE.len(), "a row is there twice");
    let calls = described_calls();
    assert!(calls.len() > 25, "the descriptors are not read: {calls:?}");
    let missing: Vec<_> = calls.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&calls).collect();
    assert!(missing.is_empty(), "calls without a row: {missing:?}");
    assert!(stale.is_empty(), "rows without a call: {stale:?}");
}

#[test]
fn each_service_is_open_to_whom_it_is_for_and_to_nobody_else() {
    use Caller::Anonymous;
    use Caller::LocalSocket;
    use Caller::Manager;
    use Caller::Worker;
    for path in described_calls() {
        let allowed: Vec<Caller> = ALL
            .into_iter()
            .filter(|caller| authorize(&path, *caller).is_ok())
            .collect();
        let service = path.split('/').nth(1).unwrap();
        let expected: &[Caller] = match (service, path.as_str()) {
            (_, "/weft.v1.Ca/Issue") => &[LocalSocket, Manager, Worker, Anonymous],
            ("weft.v1.Ca" | "weft.v1.Dispatcher" | "weft.v1.Membership", _) => &[Manager, Worker],
            ("weft.v1.Control", _) => &[LocalSocket, Manager],
            ("weft.v1.Local", _) => &[LocalSocket],
            ("weft.v1.Raft" | "weft.v1.Peer", _) => &[Manager],
            (other, _) => panic!("service {other} is new: say here who it is for"),
        };
        assert_eq!(allowed, expected, "{path}");
    }
}

#[test]
fn what_is_not_in_the_table_is_denied_to_everybody() {
    for path in [
        "",
        "/",
        "/weft.v1.Control/GetCluster/",
        "/weft.v1.control/getcluster",
        "/weft.v1.Ca/Issue?x",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        for caller in ALL {
            assert!(authorize(path, caller).is_err(), "{path} {caller}");
        }
    }
}

#[test]
fn a_denial_says_what_to_do() {
    let denied = authorize("/weft.v1.Control/ListNodes", Caller::Worker).unwrap_err();
    assert!(denied.to_string().contains("run the command on a manager"));
    let denied = authorize("/weft.v1.Ca/Renew", Caller::Anonymous).unwrap_err();
    assert!(matches!(denied, Denied::Unauthenticated { .. }));
    assert!(denied.to_string().contains("weft cluster join"));
}

fn request(path: &str, role: Option<Option<Role>>) -> http::Request<()> {
    let mut request = http::Request::builder().uri(path).body(()).unwrap();
    if let Some(role) = role {
        let node = role.map(|role| NodeIdentity {
            cluster: ClusterId::from_entropy(1),
            role,
            node: NodeId::from_entropy(2),
        });
        let remote = "192.0.2.9:1".parse().unwrap();
        request
            .extensions_mut()
            .insert(PeerIdentity { node, remote });
    }
    request
}

async fn code(layer: AuthorizeLayer, request: http::Request<()>) -> Code {
    let inner = service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(http::Response::new(String::new()))
    });
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

#[tokio::test]
async fn the_control_port_believes_the_certificate_and_nothing_else() {
    let list = "/weft.v1.Control/ListNodes";
    let tls = AuthorizeLayer::tls();
    let manager = Some(Some(Role::Manager));
    let worker = Some(Some(Role::Worker));
    assert_eq!(code(tls, request(list, manager)).await, Code::Ok);
    let denied = code(tls, request(list, worker)).await;
    assert_eq!(denied, Code::PermissionDenied);
    for nobody in [Some(None), None] {
        let denied = code(tls, request(list, nobody)).await;
        assert_eq!(denied, Code::Unauthenticated);
    }
    let issue = request("/weft.v1.Ca/Issue", Some(None));
    assert_eq!(code(tls, issue).await, Code::Ok);
    let init = request("/weft.v1.Local/Init", manager);
    assert_eq!(code(tls, init).await, Code::PermissionDenied);
}

#[tokio::test]
async fn the_local_socket_is_not_a_manager() {
    let local = AuthorizeLayer::local();
    let info = request("/weft.v1.Local/Info", None);
    assert_eq!(code(local, info).await, Code::Ok);
    let vote = request("/weft.v1.Raft/Vote", None);
    assert_eq!(code(local, vote).await, Code::PermissionDenied);
    let unknown = request("/weft.v1.Local/Nothing", None);
    assert_eq!(code(local, unknown).await, Code::Unimplemented);
}
