//! The whole way over real connections: nobody, then a member, then a caller that is denied.

use crate::authz::AuthorizeLayer;
use crate::ca::tests::csr;
use crate::ca::tests::found;
use crate::ca::tests::house_of;
use crate::ca::tests::refused;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Code;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::Expect;
use weft_pki::JoinToken;
use weft_pki::LiveCredentials;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::RootDigest;
use weft_pki::channel;
use weft_pki::connect_error;
use weft_pki::enrol_channel;
use weft_pki::serve_incoming;
use weft_pki::server;
use weft_proto::Role;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::wire;
use weft_proto::wire::ca_client::CaClient;
use weft_proto::wire::ca_server::CaServer;
use weft_proto::wire::control_client::ControlClient;
use weft_proto::wire::peer_client::PeerClient;

/// A manager that listens until the set is dropped, its root, and a good request of a worker.
struct Manager {
    addr: SocketAddr,
    root: RootCert,
    request: wire::IssueRequest,
    key: PrivateKey,
    _serving: JoinSet<()>,
}

async fn manager() -> Manager {
    let at = SystemClock.now();
    let founded = found(at);
    let root = founded.credentials.root().clone();
    let live = LiveCredentials::new(founded.credentials).unwrap();
    let house = house_of(founded.changes, at);
    let key = PrivateKey::generate().unwrap();
    let mut request = house.request(2, Role::Worker);
    request.csr_der = csr(&key);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let incoming = serve_incoming(listener, live, pending());
    let router = server()
        .layer(AuthorizeLayer::tls(
            Arc::new(crate::store::Store::default()),
        ))
        .add_service(CaServer::new(house.ca));
    let mut serving = JoinSet::new();
    serving.spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    Manager {
        addr,
        root,
        request,
        key,
        _serving: serving,
    }
}

#[tokio::test]
async fn a_machine_joins_renews_and_may_do_nothing_else() {
    let manager = manager().await;
    let pinned = JoinToken::parse(&manager.request.token).unwrap().root();
    let outside = enrol_channel(manager.addr, pinned);
    let csr_der = csr(&manager.key);
    let renewal = wire::RenewRequest { csr_der };

    let early = CaClient::new(outside.clone()).renew(renewal.clone()).await;
    refused(early, Code::Unauthenticated, &["needs a certificate"]);
    let curious = ControlClient::new(outside.clone())
        .list_nodes(wire::ListNodesRequest::default())
        .await;
    refused(curious, Code::Unauthenticated, &["ListNodes"]);

    let joined = CaClient::new(outside).issue(manager.request.clone()).await;
    let joined = joined.unwrap().into_inner();
    let chain = CertificateChain::from_der(joined.chain_der).unwrap();
    let own = Credentials::new(manager.key.clone(), chain, manager.root.clone()).unwrap();
    let live = LiveCredentials::new(own).unwrap();
    let inside = channel(manager.addr, live, Expect::any_manager());

    let renewed = CaClient::new(inside.clone()).renew(renewal).await.unwrap();
    let chain = CertificateChain::from_der(renewed.into_inner().chain_der).unwrap();
    let again = Credentials::new(manager.key, chain, manager.root).unwrap();
    assert_eq!(again.identity().node.to_string(), joined.node_id);

    let nodes = ControlClient::new(inside.clone())
        .list_nodes(wire::ListNodesRequest::default())
        .await;
    refused(nodes, Code::PermissionDenied, &["a worker", "on a manager"]);
    let command = wire::ProposeRequest::default();
    let proposed = PeerClient::new(inside).propose(command).await;
    refused(proposed, Code::PermissionDenied, &["Peer/Propose"]);
}

#[tokio::test]
async fn a_machine_with_the_token_of_another_root_sends_it_to_nobody() {
    let manager = manager().await;
    let elsewhere = enrol_channel(manager.addr, RootDigest::from_bytes([7; 32]));
    let status = CaClient::new(elsewhere)
        .issue(manager.request)
        .await
        .unwrap_err();
    assert!(connect_error(&status).is_some(), "{status:?}");
}
