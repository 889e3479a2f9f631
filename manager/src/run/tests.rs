//! A whole manager over real connections.

mod audit;
mod people;

use crate::ca::Founding;
use crate::ca::bootstrap;
use crate::fixture;
use crate::run::Manager;
use crate::run::ManagerConfig;
use crate::vault::Vault;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use weft_pki::CertificateChain;
use weft_pki::Credentials;
use weft_pki::Expect;
use weft_pki::JoinToken;
use weft_pki::LiveCredentials;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::certificate_request;
use weft_pki::channel;
use weft_pki::enrol_channel;
use weft_proto::defaults;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::wire;
use weft_proto::wire::ca_client::CaClient;
use weft_proto::wire::membership_client::MembershipClient;

fn ids() -> impl Fn() -> u128 + Send + Sync + 'static {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    || u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

struct World {
    manager: Manager,
    addr: SocketAddr,
    root: RootCert,
    token: String,
}

/// A cluster of one manager with its log in `dir`.
async fn founded(dir: &Path) -> World {
    let advertise_addr = "192.0.2.1:2377".parse().unwrap();
    let founded = bootstrap(Founding {
        unlock_key: None,
        description: fixture::node(1).description,
        data_addr: fixture::node(1).data_addr,
        advertise_addr,
        settings: defaults::settings(),
        now: SystemClock.now(),
        cluster: ids()(),
        node: ids()(),
    })
    .unwrap();
    let identity = founded.credentials.identity();
    let root = founded.credentials.root().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let manager = Manager::start(ManagerConfig {
        node: identity.node,
        cluster: identity.cluster,
        raft_id: founded.raft_id,
        addr: advertise_addr,
        dir: dir.to_owned(),
        vault: Arc::new(Vault::beside(dir)),
        credentials: LiveCredentials::new(founded.credentials).unwrap(),
        listener,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(ids()),
    })
    .await
    .unwrap();
    manager.found(founded.changes).await.unwrap();
    World {
        manager,
        addr,
        root,
        token: founded.worker_token,
    }
}

impl World {
    /// A worker that joined, speaking to the manager.
    async fn worker(&self) -> MembershipClient<tonic::transport::Channel> {
        self.worker_at(2).await
    }

    /// As [`World::worker`], with this number in its name and address.
    async fn worker_at(&self, n: u16) -> MembershipClient<tonic::transport::Channel> {
        let key = PrivateKey::generate().unwrap();
        let node = fixture::node(n);
        let request = wire::IssueRequest {
            token: self.token.clone(),
            csr_der: certificate_request(&key).unwrap(),
            description: Some((&node.description).into()),
            data_addr: node.data_addr.to_string(),
            advertise_addr: String::new(),
            proof: None,
        };
        let pinned = JoinToken::parse(&self.token).unwrap().root();
        let mut ca = CaClient::new(enrol_channel(self.addr, pinned));
        let issued = ca.issue(request).await.unwrap().into_inner();
        let chain = CertificateChain::from_der(issued.chain_der).unwrap();
        let own = Credentials::new(key, chain, self.root.clone()).unwrap();
        let live = LiveCredentials::new(own).unwrap();
        MembershipClient::new(channel(self.addr, live, Expect::any_manager()))
    }
}

#[tokio::test]
async fn a_node_that_left_is_told_so_and_then_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let world = founded(&dir.path().join("raft")).await;
    let mut worker = world.worker().await;
    let mut stays = world.worker().await;
    worker.depart(wire::DepartRequest {}).await.unwrap();
    // Whoever is unknown is told that it has left, for as long as it is answered at all.
    let cut = async {
        while worker.depart(wire::DepartRequest {}).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(30), cut).await;
    cut.expect("the connection is cut and no new one is taken");
    stays.depart(wire::DepartRequest {}).await.unwrap();
    world.manager.shutdown().await;
}

/// A manager's settings, the same at each call for the same credentials.
async fn settings(dir: &Path, credentials: &Credentials) -> ManagerConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ManagerConfig {
        node: credentials.identity().node,
        cluster: credentials.identity().cluster,
        raft_id: 1,
        addr: listener.local_addr().unwrap(),
        dir: dir.to_owned(),
        vault: Arc::new(Vault::beside(dir)),
        credentials: LiveCredentials::new(credentials.clone()).unwrap(),
        listener,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(ids()),
    }
}

#[tokio::test]
async fn a_manager_without_its_key_or_with_a_damaged_log_says_how_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let raft = dir.path().join("raft");
    let founding = bootstrap(Founding {
        unlock_key: None,
        description: fixture::node(1).description,
        data_addr: fixture::node(1).data_addr,
        advertise_addr: "192.0.2.1:2377".parse().unwrap(),
        settings: defaults::settings(),
        now: SystemClock.now(),
        cluster: ids()(),
        node: ids()(),
    })
    .unwrap();
    let credentials = founding.credentials;
    let manager = Manager::start(settings(&raft, &credentials).await);
    let manager = manager.await.unwrap();
    manager.found(founding.changes).await.unwrap();
    manager.shutdown().await;
    let refusal = async || {
        let again = Manager::start(settings(&raft, &credentials).await).await;
        let error = again.err().unwrap();
        assert!(error.must_rejoin(), "{error:?}");
        let text = error.to_string();
        let node = credentials.identity().node;
        assert!(
            text.contains(&format!("weft node rm --force {node}"))
                && text.contains("weft cluster leave --force"),
            "{text}"
        );
        error
    };

    let key = crate::run::key_file(&raft);
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = refusal().await;
    assert!(
        matches!(error, crate::run::StartError::Keys { .. }),
        "{error:?}"
    );
    assert!(!key.exists(), "no other key takes its place");
    std::fs::write(&key, kept).unwrap();

    let segment = raft.join("wal/00000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let error = refusal().await;
    assert!(
        matches!(error, crate::run::StartError::Damaged { .. }),
        "{error:?}"
    );

    bytes[600] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let manager = Manager::start(settings(&raft, &credentials).await).await;
    manager.unwrap().shutdown().await;
}
