use super::*;
use crate::fixture::node_id;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::transport::Endpoint;
use tonic::transport::Server;
use weft_pki::NodeIdentity;
use weft_pki::Root;
use weft_proto::ClusterId;
use weft_proto::Role;
use weft_proto::time::SystemClock;
use wire::ca_server::Ca;
use wire::ca_server::CaServer;

const DAY: Duration = Duration::from_secs(24 * 3600);

struct FakeCa(Root);

fn identity(root: &Root) -> NodeIdentity {
    NodeIdentity {
        cluster: root.cert().cluster(),
        role: Role::Worker,
        node: node_id(),
    }
}

fn credentials(root: &Root, at: SystemTime) -> Credentials {
    let key = PrivateKey::generate().unwrap();
    let request = certificate_request(&key).unwrap();
    let chain = weft_pki::issue(root, &request, &identity(root), at, DAY).unwrap();
    Credentials::new(key, chain, root.cert().clone()).unwrap()
}

#[tonic::async_trait]
impl Ca for FakeCa {
    async fn issue(
        &self,
        _: Request<wire::IssueRequest>,
    ) -> Result<Response<wire::IssueResponse>, Status> {
        Err(Status::unimplemented("only renewals"))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let csr = request.into_inner().csr_der;
        let now = SystemClock.now();
        let chain = weft_pki::issue(&self.0, &csr, &identity(&self.0), now, DAY).unwrap();
        let chain_der = chain.certificates().iter().map(|c| c.to_vec()).collect();
        Ok(Response::new(wire::RenewResponse {
            chain_der,
            role: wire::NodeRole::Worker.into(),
            certificates: None,
        }))
    }
}

async fn serve(root: Root) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(
        Server::builder()
            .add_service(CaServer::new(FakeCa(root)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    addr
}

/// An address where nobody listens any more.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn an_ageing_certificate_is_renewed_kept_and_used_although_a_manager_is_down() {
    let now = SystemClock.now();
    let root = Root::create(ClusterId::from_entropy(1), now - DAY).unwrap();
    let old = credentials(&root, now - DAY * 4 / 5);
    let (ends, key) = (old.not_after(), old.key().to_pem());
    let live = LiveCredentials::new(old).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let keystore = Keystore::new(dir.path().join("pki"));
    let (_desired, desired) = watch::channel(Arc::default());
    let renewal = Renewal {
        live: live.clone(),
        keystore: keystore.clone(),
        clock: Arc::new(SystemClock),
        desired,
        configured: vec![nobody().await, serve(root).await],
        dial: Arc::new(|addr| {
            let uri = format!("http://{addr}");
            Endpoint::from_shared(uri).unwrap().connect_lazy()
        }),
        asked: Arc::default(),
        policy: watch::Sender::new(None),
        seed: 1,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(renewal.run(stop.clone()));
    let renewed = async {
        while live.current().not_after() == ends {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), renewed).await.unwrap();
    let current = live.current();
    assert!(current.not_after() > now + DAY / 2);
    assert_ne!(current.key().to_pem(), key, "a new key each time");
    let kept = keystore.load().unwrap();
    assert_eq!(kept.not_after(), current.not_after());
    assert!(!running.is_finished());
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_fresh_certificate_is_renewed_at_once_when_that_is_asked_for() {
    let now = SystemClock.now();
    let root = Root::create(ClusterId::from_entropy(1), now - DAY).unwrap();
    let fresh = credentials(&root, now);
    let key = fresh.key().to_pem();
    let live = LiveCredentials::new(fresh).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let asked = Arc::new(Notify::new());
    let (_desired, desired) = watch::channel(Arc::default());
    let renewal = Renewal {
        live: live.clone(),
        keystore: Keystore::new(dir.path().join("pki")),
        clock: Arc::new(SystemClock),
        desired,
        configured: vec![nobody().await, serve(root).await],
        dial: Arc::new(|addr| {
            let uri = format!("http://{addr}");
            Endpoint::from_shared(uri).unwrap().connect_lazy()
        }),
        asked: asked.clone(),
        policy: watch::Sender::new(None),
        seed: 1,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(renewal.run(stop.clone()));
    asked.notify_one();
    let renewed = async {
        while live.current().key().to_pem() == key {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), renewed).await.unwrap();
    stop.cancel();
    running.await.unwrap();
}
