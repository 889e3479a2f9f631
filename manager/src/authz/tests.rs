use crate::authz::AuthorizeLayer;
use crate::authz::Caller;
use crate::authz::Denied;
use crate::authz::Roll;
use crate::authz::authorize;
use crate::authz::table::TABLE;
use prost::Message;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
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
            // It holds the keys: only for whoever is root on a manager.
            (
                _,
                "/weft.v1.Control/Backup"
                | "/weft.v1.Control/SetAutolock"
                | "/weft.v1.Control/GetUnlockKey",
            ) => &[LocalSocket],
            // Names people, and where they sit.
            (_, "/weft.v1.Control/ListAudit") => &[LocalSocket],
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

/// Every manager is one, but for this.
struct AllBut(u128);

impl Roll for AllBut {
    fn manages(&self, node: NodeId) -> bool {
        node != NodeId::from_entropy(self.0)
    }
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
        request.extensions_mut().insert(PeerIdentity {
            node,
            remote,
            revoked: false,
        });
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
    let tls = AuthorizeLayer::tls(Arc::new(AllBut(7)));
    let manager = Some(Some(Role::Manager));
    let worker = Some(Some(Role::Worker));
    assert_eq!(code(tls.clone(), request(list, manager)).await, Code::Ok);
    let denied = code(tls.clone(), request(list, worker)).await;
    assert_eq!(denied, Code::PermissionDenied);
    for nobody in [Some(None), None] {
        let denied = code(tls.clone(), request(list, nobody)).await;
        assert_eq!(denied, Code::Unauthenticated);
    }
    let issue = request("/weft.v1.Ca/Issue", Some(None));
    assert_eq!(code(tls.clone(), issue).await, Code::Ok);
    let init = request("/weft.v1.Local/Init", manager);
    assert_eq!(code(tls.clone(), init).await, Code::PermissionDenied);
}

#[tokio::test]
async fn the_local_socket_is_not_a_manager() {
    let local = AuthorizeLayer::local();
    let info = request("/weft.v1.Local/Info", None);
    assert_eq!(code(local.clone(), info).await, Code::Ok);
    let vote = request("/weft.v1.Raft/Vote", None);
    assert_eq!(code(local.clone(), vote).await, Code::PermissionDenied);
    let unknown = request("/weft.v1.Local/Nothing", None);
    assert_eq!(code(local.clone(), unknown).await, Code::Unimplemented);
}

fn of(node: u128, path: &str, revoked: bool) -> http::Request<()> {
    let mut request = request(path, None);
    let node = NodeIdentity {
        cluster: ClusterId::from_entropy(1),
        role: Role::Manager,
        node: NodeId::from_entropy(node),
    };
    request.extensions_mut().insert(PeerIdentity {
        node: Some(node),
        remote: "192.0.2.9:1".parse().unwrap(),
        revoked,
    });
    request
}

#[tokio::test]
async fn a_manager_that_was_made_a_worker_is_one_whatever_its_certificate_says() {
    let tls = AuthorizeLayer::tls(Arc::new(AllBut(7)));
    let list = "/weft.v1.Control/ListNodes";
    assert_eq!(code(tls.clone(), of(6, list, false)).await, Code::Ok);
    let denied = code(tls.clone(), of(7, list, false)).await;
    assert_eq!(denied, Code::PermissionDenied);
    for path in [
        "/weft.v1.Ca/Renew",
        "/weft.v1.Membership/GetStanding",
        // One that is behind must be able to follow a leader it does not know yet.
        "/weft.v1.Raft/Append",
    ] {
        assert_eq!(
            code(tls.clone(), of(7, path, false)).await,
            Code::Ok,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_removed_node_hears_that_it_was_removed_and_nothing_else() {
    let layer = AuthorizeLayer::tls(Arc::new(AllBut(7)));
    for path in described_calls() {
        let inner = service_fn(|_: http::Request<()>| async {
            Ok::<_, Infallible>(http::Response::new(String::new()))
        });
        let answer = layer.layer(inner).oneshot(of(6, &path, true)).await;
        let status = Status::from_header_map(answer.unwrap().headers()).unwrap();
        assert!(weft_pki::says_removed(&status), "{path}: {status}");
    }
}
