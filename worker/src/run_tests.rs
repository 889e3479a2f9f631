use super::*;
use crate::agent::fake_manager::FakeManager;
use crate::dataplane::Round;
use crate::fixture::desired;
use crate::fixture::node_id;
use crate::fixture::task;
use crate::fixture::task_id;
use crate::runtime::TaskObservation;
use crate::runtime::fake::FakeRuntime;
use std::collections::BTreeSet;
use std::time::Duration;
use weft_pki::Credentials;
use weft_pki::NodeIdentity;
use weft_pki::PrivateKey;
use weft_pki::Root;
use weft_proto::ClusterId;
use weft_proto::Role;
use weft_proto::TaskId;
use weft_proto::task_state::TaskState;
use weft_proto::time::SystemClock;

#[derive(Debug)]
struct AnyNetwork;

impl Network for AnyNetwork {
    async fn reconcile(&mut self, _: &Desired, active: &BTreeSet<TaskId>) -> Round {
        let tasks = active.iter().map(|id| (*id, Ok("/ns".into()))).collect();
        Round {
            tasks,
            problems: Vec::new(),
        }
    }

    async fn clear(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn live(root: &Root, role: Role, node: NodeId) -> Arc<LiveCredentials> {
    let key = PrivateKey::generate().unwrap();
    let request = weft_pki::certificate_request(&key).unwrap();
    let identity = NodeIdentity {
        cluster: root.cert().cluster(),
        role,
        node,
    };
    let day = Duration::from_secs(24 * 3600);
    let chain = weft_pki::issue(root, &request, &identity, SystemClock.now(), day).unwrap();
    let credentials = Credentials::new(key, chain, root.cert().clone()).unwrap();
    LiveCredentials::new(credentials).unwrap()
}

fn config(dir: &Path, root: &Root, managers: Vec<SocketAddr>) -> WorkerConfig {
    WorkerConfig {
        program: None,
        state_dir: dir.join("state"),
        run_dir: dir.join("run"),
        me: node_id(),
        description: crate::describe::describe("host".to_owned(), "0.1.0"),
        data_addr: "192.0.2.7".parse().unwrap(),
        tunnel_key: weft_pki::tunnel::TunnelSecret::generate().unwrap(),
        keys: watch::Sender::default(),
        managers,
        own_manager: None,
        credentials: Some(live(root, Role::Worker, node_id())),
        keystore: Keystore::new(dir.join("pki")),
        local_key: None,
        resolv_conf: ResolvConf::default(),
        told: watch::Sender::default(),
        renew: Arc::default(),
        clock: Arc::new(SystemClock),
        seed: 1,
    }
}

fn root() -> Root {
    Root::create(ClusterId::from_entropy(1), SystemClock.now()).unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("in time: {what}"));
}

fn runs(runtime: &FakeRuntime, n: u32) -> bool {
    let seen = runtime.observe();
    matches!(seen.get(&task_id(n)), Some(TaskObservation::Running { .. }))
}

#[tokio::test]
async fn a_node_without_managers_runs_its_last_assignments_and_keeps_them_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &root(), vec!["127.0.0.1:1".parse().unwrap()]);
    let (state_dir, last) = (config.state_dir.clone(), desired(7, [task(1)]));
    Db::new(&state_dir).save(&last).unwrap();
    let runtime = Arc::new(FakeRuntime::new());
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(config, runtime.clone(), AnyNetwork, stop.clone()));
    until("the task runs", || runs(&runtime, 1)).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert!(runs(&runtime, 1), "an orderly end leaves tasks alone");
    assert_eq!(Db::new(&state_dir).load().unwrap(), Some(last));

    assert_eq!(
        clear(&state_dir, runtime.clone(), &mut AnyNetwork).await,
        [""; 0]
    );
    assert!(runtime.observe().is_empty());
    assert_eq!(Db::new(&state_dir).load().unwrap(), None);
}

#[tokio::test]
async fn a_worker_without_credentials_runs_its_last_assignments_and_speaks_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(dir.path(), &root(), vec![listener.local_addr().unwrap()]);
    config.credentials = None;
    let last = desired(7, [task(1)]);
    Db::new(&config.state_dir).save(&last).unwrap();
    let runtime = Arc::new(FakeRuntime::new());
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(config, runtime.clone(), AnyNetwork, stop.clone()));
    until("the task runs", || runs(&runtime, 1)).await;
    let called = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(called.is_err(), "nobody is called");
    assert!(!running.is_finished());
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_task_assigned_over_a_secured_session_runs_and_its_state_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = root();
    let manager_id = NodeId::from_entropy(99);
    let mut manager = FakeManager::start_with(live(&root, Role::Manager, manager_id)).await;
    let config = config(dir.path(), &root, vec![manager.addr]);
    let state_dir = config.state_dir.clone();
    let runtime = Arc::new(FakeRuntime::new());
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(config, runtime.clone(), AnyNetwork, stop.clone()));
    let mut session = manager.session().await;
    session.welcome().await;
    session.snapshot(4, [task(1)]).await;
    session.told(task_id(1), TaskState::Running).await;
    assert!(runs(&runtime, 1));
    let db = Db::new(&state_dir);
    until("assignments are on disk", || db.load().unwrap().is_some()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_manager_of_another_cluster_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let other = Root::create(ClusterId::from_entropy(2), SystemClock.now()).unwrap();
    let manager = live(&other, Role::Manager, NodeId::from_entropy(99));
    let mut manager = FakeManager::start_with(manager).await;
    let config = config(dir.path(), &root(), vec![manager.addr]);
    let stop = CancellationToken::new();
    let runtime = Arc::new(FakeRuntime::new());
    let running = tokio::spawn(run(config, runtime, AnyNetwork, stop.clone()));
    let session = tokio::time::timeout(Duration::from_secs(1), manager.session()).await;
    assert!(session.is_err(), "no session came about");
    stop.cancel();
    running.await.unwrap().unwrap();
}
