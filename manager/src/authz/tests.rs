use crate::acting::Grant;
use crate::authz::AuthorizeLayer;
use crate::authz::Caller;
use crate::authz::Denied;
use crate::authz::Roll;
use crate::authz::authorize;
use crate::authz::authorize_stack;
use crate::authz::table::STACKED;
use crate::authz::table::TABLE;
use futures::future::BoxFuture;
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
use weft_pki::UserIdentity;
use weft_pki::UserProof;
use weft_proto::ClusterId;
use weft_proto::Name;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::UserId;
use weft_proto::object::KeyDigest;
use weft_proto::object::UserRole;
use weft_proto::wire;

const ADMIN: Caller = Caller::User(UserRole::Admin);
const OPERATOR: Caller = Caller::User(UserRole::Operator);
const VIEWER: Caller = Caller::User(UserRole::Viewer);

const ALL: [Caller; 7] = [
    Caller::LocalSocket,
    Caller::Manager,
    Caller::Worker,
    ADMIN,
    OPERATOR,
    VIEWER,
    Caller::Anonymous,
];

/// Who may make each call of people, said a second time and in another way: by what the call is for.
/// A new call must be said here too.
const CONTROL: &[(&str, For)] = &[
    ("GetCluster", For::Viewers),
    ("GetJoinToken", For::Admins),
    ("ListNodes", For::Viewers),
    ("UpdateNode", For::Operators),
    ("RemoveNode", For::Admins),
    ("CreateNetwork", For::Operators),
    ("ListNetworks", For::Viewers),
    ("RemoveNetwork", For::Operators),
    ("CreateService", For::Operators),
    ("UpdateService", For::Operators),
    ("RollbackService", For::Operators),
    ("RemoveService", For::Operators),
    ("ListServices", For::Viewers),
    ("ListTasks", For::Viewers),
    ("ServiceLogs", For::Viewers),
    ("Watch", For::Viewers),
    ("StateHash", For::Viewers),
    // It holds the keys.
    ("Backup", For::Root),
    // Which there are and how old: never the keys.
    ("GetKeys", For::Viewers),
    ("UpdateKeys", For::Admins),
    // Who may become a node.
    ("CreateJoinToken", For::Admins),
    ("ListJoinTokens", For::Admins),
    ("RemoveJoinToken", For::Admins),
    ("DecideNode", For::Admins),
    // What disks are locked with: only for whoever is root on a manager.
    ("SetAutolock", For::Socket),
    ("GetUnlockKey", For::Socket),
    // Names people, and where they sit.
    ("ListAudit", For::Root),
    ("UpdateCluster", For::Admins),
    ("GetCa", For::Viewers),
    ("RotateCa", For::Admins),
    ("CreateUser", For::Root),
    ("ListUsers", For::Viewers),
    ("UpdateUser", For::Root),
    ("RemoveUser", For::Root),
    ("RenewUser", For::People),
    // Who is let in.
    ("CreateJoinToken", For::Admins),
    ("ListJoinTokens", For::Admins),
    ("RemoveJoinToken", For::Admins),
    ("DecideNode", For::Admins),
    // When they change, and never which they are.
    ("GetKeys", For::Viewers),
    ("UpdateKeys", For::Admins),
    // Their data never comes out, but which there are is for those who use them.
    ("CreateSecret", For::Operators),
    ("UpdateSecret", For::Operators),
    ("ListSecrets", For::Operators),
    ("RemoveSecret", For::Operators),
    ("CreateConfig", For::Operators),
    ("UpdateConfig", For::Operators),
    ("ListConfigs", For::Operators),
    ("RemoveConfig", For::Operators),
];

#[derive(Clone, Copy)]
enum For {
    Viewers,
    Operators,
    Admins,
    /// Admins and the local socket, but no node.
    Root,
    /// People about themselves.
    People,
    /// The local socket alone.
    Socket,
}

impl For {
    fn callers(self) -> &'static [Caller] {
        use Caller::LocalSocket;
        use Caller::Manager;
        match self {
            For::Viewers => &[LocalSocket, Manager, ADMIN, OPERATOR, VIEWER],
            For::Operators => &[LocalSocket, Manager, ADMIN, OPERATOR],
            For::Admins => &[LocalSocket, Manager, ADMIN],
            For::Root => &[LocalSocket, ADMIN],
            For::Socket => &[LocalSocket],
            For::People => &[ADMIN, OPERATOR, VIEWER],
        }
    }
}

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
            ("weft.v1.Control", call) => {
                let name = call.rsplit('/').next().unwrap();
                let row = CONTROL.iter().find(|(row, _)| *row == name);
                let (_, open_to) =
                    row.unwrap_or_else(|| panic!("{call} is new: say who it is for"));
                open_to.callers()
            }
            ("weft.v1.Local", _) => &[LocalSocket],
            ("weft.v1.Raft" | "weft.v1.Peer", _) => &[Manager],
            (other, _) => panic!("service {other} is new: say here who it is for"),
        };
        assert_eq!(allowed, expected, "{path}");
    }
}

#[test]
fn people_of_one_stack_make_the_calls_that_look_at_stacks_and_no_others() {
    let shop: Name = "shop".parse().unwrap();
    let open: BTreeSet<String> = described_calls()
        .into_iter()
        .filter(|path| authorize_stack(path, &shop).is_ok())
        .collect();
    let known: BTreeSet<String> = STACKED.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(open, known, "a call of the list does not exist");
    for path in &open {
        assert!(
            authorize(path, OPERATOR).is_ok(),
            "{path} is for nobody of a stack"
        );
        let about = ["Network", "Service", "ListTasks", "RenewUser"];
        assert!(about.iter().any(|word| path.contains(word)), "{path}");
    }
    let denied = authorize_stack("/weft.v1.Control/Watch", &shop).unwrap_err();
    assert!(
        denied.to_string().contains("as you are to shop"),
        "{denied}"
    );
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
    let denied = authorize("/weft.v1.Control/CreateService", VIEWER).unwrap_err();
    let said = denied.to_string();
    assert!(
        said.contains("users of role viewer: ask somebody who is an operator"),
        "{said}"
    );
    let denied = authorize("/weft.v1.Control/GetJoinToken", OPERATOR).unwrap_err();
    assert!(denied.to_string().ends_with("ask an admin"), "{denied}");
    let denied = authorize("/weft.v1.Local/Init", ADMIN).unwrap_err();
    assert!(
        denied.to_string().contains("on the node itself"),
        "{denied}"
    );
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

    /// Alice is an operator, with any key but all zeros; carol is one of the shop.
    fn grant(&self, user: &UserProof) -> Option<Grant> {
        let stack = match user.identity.name.as_str() {
            "alice" => None,
            "carol" => Some("shop".parse().unwrap()),
            _ => return None,
        };
        (*user.key.as_bytes() != [0; 32]).then(|| Grant {
            user: UserId::from_entropy(1),
            version: 1,
            role: UserRole::Operator,
            stack,
        })
    }

    fn regranted(&self, _: Arc<UserProof>, _: Grant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn by_user(path: &str, name: &str, key: u8) -> http::Request<()> {
    let mut request = request(path, None);
    let identity = UserIdentity {
        cluster: ClusterId::from_entropy(1),
        name: name.parse().unwrap(),
    };
    request.extensions_mut().insert(PeerIdentity {
        node: None,
        user: Some(Arc::new(UserProof {
            identity,
            key: KeyDigest::from_bytes([key; 32]),
        })),
        remote: "192.0.2.9:1".parse().unwrap(),
        revoked: false,
    });
    request
}

#[tokio::test]
async fn a_person_is_what_the_state_says_and_not_what_her_certificate_says() {
    let tls = AuthorizeLayer::tls(Arc::new(AllBut(7)));
    let create = "/weft.v1.Control/CreateService";
    for (path, name, key, expected) in [
        (create, "alice", 1, Code::Ok),
        (create, "alice", 0, Code::PermissionDenied),
        (create, "mallory", 1, Code::PermissionDenied),
        (
            "/weft.v1.Control/GetJoinToken",
            "alice",
            1,
            Code::PermissionDenied,
        ),
        (
            "/weft.v1.Dispatcher/Session",
            "alice",
            1,
            Code::PermissionDenied,
        ),
        ("/weft.v1.Raft/Append", "alice", 1, Code::PermissionDenied),
        ("/weft.v1.Ca/Renew", "alice", 1, Code::PermissionDenied),
        (create, "carol", 1, Code::Ok),
        ("/weft.v1.Control/ListNodes", "alice", 1, Code::Ok),
        (
            "/weft.v1.Control/ListNodes",
            "carol",
            1,
            Code::PermissionDenied,
        ),
        ("/weft.v1.Control/Watch", "carol", 1, Code::PermissionDenied),
    ] {
        let found = code(tls.clone(), by_user(path, name, key)).await;
        assert_eq!(found, expected, "{path} {name} {key}");
    }
}

#[tokio::test]
async fn an_answer_of_a_person_ends_with_her_rights() {
    use http_body::Body;
    let inner = service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(http::Response::new("what there is".to_owned()))
    });
    let layer = AuthorizeLayer::tls(Arc::new(AllBut(7)));
    let watch = by_user("/weft.v1.Control/Watch", "alice", 1);
    let answer = layer.layer(inner).oneshot(watch).await.unwrap();
    let mut body = std::pin::pin!(answer.into_body());
    let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
    let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
    let status = Status::from_header_map(&trailers).unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("alice"), "{status}");
    assert!(body.is_end_stream());
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
            user: None,
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
        user: None,
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
