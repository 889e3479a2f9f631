//! Reconciler, process runtime and data plane together: real processes in real namespaces.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails where something it needs is missing"
)]

use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::defaults;
use weft_proto::object::Meta;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::Runtime as RuntimeKind;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::time::Timestamp;
use weft_worker::dataplane::DataPlane;
use weft_worker::dataplane::DataPlaneConfig;
use weft_worker::dataplane::NoIngress;
use weft_worker::desired::Desired;
use weft_worker::dns::ResolvConf;
use weft_worker::network::Places;
use weft_worker::observed::TaskReport;
use weft_worker::reconciler::NETWORK_PATIENCE;
use weft_worker::reconciler::Parts;
use weft_worker::reconciler::Reconciler;
use weft_worker::reconciler::clear;
use weft_worker::runtime::LogQuery;
use weft_worker::runtime::ProcessRuntime;
use weft_worker::runtime::ProcessRuntimeConfig;
use weft_worker::runtime::Runtime;
use weft_worker::task::NodeFacts;

const CEILING: Duration = Duration::from_secs(30);

fn task_id(n: u8) -> TaskId {
    TaskId::from_entropy(u128::from(std::process::id()) << 64 | u128::from(n))
}

fn node_id() -> NodeId {
    NodeId::from_entropy(1)
}

fn task(n: u8, script: &str) -> Task {
    Task {
        meta: Meta::default(),
        id: task_id(n),
        service: ServiceId::from_entropy(1),
        service_name: "web".parse().unwrap(),
        slot: n.into(),
        iteration: 0,
        node: Some(node_id()),
        spec: TaskSpec {
            runtime: RuntimeKind::Process,
            command: ["sh", "-c", script].map(str::to_owned).into(),
            env: Vec::new(),
            working_dir: None,
            user: None,
            hostname: None,
            files: Vec::new(),
            template_labels: std::collections::BTreeMap::new(),
            limits: defaults::RESOURCES,
            reservations: defaults::RESOURCES,
            restart: defaults::RESTART,
            constraints: Vec::new(),
            networks: Vec::new(),
            stop_signal: defaults::STOP_SIGNAL.to_owned(),
            stop_grace: Duration::from_secs(5),
            force_update: 0,
            preferences: Vec::new(),
            max_per_node: None,
            reserved_generic: std::collections::BTreeMap::new(),
            host_ports: Vec::new(),
            health: None,
        }
        .into(),
        status: TaskStatus {
            state: TaskState::Assigned,
            at: Timestamp::default(),
            message: String::new(),
            error: String::new(),
            exit_code: None,
        },
        desired: DesiredState::Running,
        addresses: BTreeMap::new(),
        ingress_addr: None,
    }
}

struct Node {
    runtime: Arc<ProcessRuntime>,
    run_dir: PathBuf,
    desired: watch::Sender<Arc<Desired>>,
    reports: mpsc::Receiver<TaskReport>,
    stop: CancellationToken,
    running: JoinHandle<DataPlane<NoIngress>>,
}

async fn open_runtime(dir: &Path, cgroup_base: &str) -> ProcessRuntime {
    let now = || SystemClock.now();
    let config = ProcessRuntimeConfig {
        shim_program: PathBuf::from(env!("CARGO_BIN_EXE_weft-shim")),
        ..ProcessRuntimeConfig::new(dir.join("tasks"), cgroup_base.to_owned(), now)
    };
    ProcessRuntime::open(config).await.unwrap()
}

async fn open_network(run_dir: &Path) -> DataPlane<NoIngress> {
    let data_addr = "127.0.0.1".parse().unwrap();
    let resolv_conf = ResolvConf::default();
    let config = DataPlaneConfig::new(run_dir.to_owned(), node_id(), data_addr, resolv_conf);
    DataPlane::open(config.unwrap(), NoIngress).await.unwrap()
}

/// Leaves nothing behind when the test fails half-way.
struct Sweep {
    dir: TempDir,
    cgroup_base: String,
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (dir, base) = (self.dir.path(), self.cgroup_base.as_str());
        let sweep = || {
            let inner = tokio::runtime::Runtime::new().unwrap();
            inner.block_on(async {
                let runtime = Arc::new(open_runtime(dir, base).await);
                let mut network = open_network(&dir.join("run")).await;
                clear(runtime.clone(), &mut network).await;
                let _ = runtime.remove_base_cgroup();
            });
        };
        // A thread of its own: the test's runtime cannot wait while it unwinds.
        let swept = std::thread::scope(|scope| scope.spawn(sweep).join());
        if swept.is_err() {
            eprintln!("left behind: {} and control group {base}", dir.display());
        }
    }
}

impl Node {
    async fn start(dir: &Path, cgroup_base: &str) -> Self {
        let runtime = Arc::new(open_runtime(dir, cgroup_base).await);
        let run_dir = dir.join("run");
        let network = open_network(&run_dir).await;
        let (desired, desired_rx) = watch::channel(Arc::default());
        let (reports_tx, reports) = mpsc::channel(64);
        let (applied, _) = watch::channel(0);
        let stop = CancellationToken::new();
        let reconciler = Reconciler::new(Parts {
            desired: desired_rx,
            node: NodeFacts {
                program: None,
                id: node_id(),
                hostname: "host".to_owned(),
                hidden_dirs: vec![dir.to_owned()],
            },
            resolv_conf: ResolvConf::default(),
            runtime: runtime.clone(),
            network,
            reports: reports_tx,
            applied,
            clock: Arc::new(SystemClock),
            network_patience: NETWORK_PATIENCE,
        });
        let running = tokio::spawn(reconciler.run(stop.clone()));
        Node {
            runtime,
            run_dir,
            desired,
            reports,
            stop,
            running,
        }
    }

    fn want(&self, revision: u64, tasks: impl IntoIterator<Item = Task>) {
        self.desired.send_replace(Arc::new(Desired {
            revision,
            tasks: tasks.into_iter().map(|task| (task.id, task)).collect(),
            ..Desired::default()
        }));
    }

    /// The next report of an end or of running.
    async fn told(&mut self) -> TaskStatus {
        let wait = async {
            loop {
                let status = self.reports.recv().await.unwrap().status;
                if status.state >= TaskState::Running {
                    return status;
                }
            }
        };
        tokio::time::timeout(CEILING, wait).await.expect("in time")
    }

    async fn output(&self, task: TaskId) -> String {
        let lines = self.runtime.logs(task, LogQuery::default()).await.unwrap();
        let lines: Vec<_> = lines.map(|line| line.unwrap().bytes).collect().await;
        let texts = lines.iter().map(|line| String::from_utf8_lossy(line));
        texts.collect::<Vec<_>>().join("\n")
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(CEILING, wait).await;
        waited.unwrap_or_else(|_| panic!("in time: {what}"));
    }

    fn netns(&self, task: TaskId) -> PathBuf {
        Places::below(&self.run_dir).task(task)
    }

    /// As the daemon does it: tasks stay.
    async fn end(self) -> (Arc<ProcessRuntime>, DataPlane<NoIngress>) {
        self.stop.cancel();
        (self.runtime, self.running.await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_runs_survives_its_daemon_and_leaves_nothing_behind() {
    let sweep = Sweep {
        dir: TempDir::with_prefix_in("weft-node-", "/var/tmp").unwrap(),
        cgroup_base: format!("weft-test-node-{}", std::process::id()),
    };
    let (dir, cgroup_base) = (sweep.dir.path(), sweep.cgroup_base.as_str());
    let mut node = Node::start(dir, cgroup_base).await;
    let lives = task(1, "sleep 1000");
    let ends = task(
        2,
        "echo $WEFT_TASK_NAME on $WEFT_NODE_NAME; hostname; exit 3",
    );

    node.want(1, [lives.clone()]);
    assert_eq!(node.told().await.state, TaskState::Running);
    assert!(node.netns(lives.id).exists());

    node.want(2, [lives.clone(), ends.clone()]);
    let end = loop {
        let status = node.told().await;
        if status.state.is_terminal() {
            break status;
        }
    };
    assert_eq!(
        (end.state, end.error.as_str()),
        (TaskState::Failed, "exit code 3")
    );
    assert_eq!(node.output(ends.id).await, "web.2 on host\nweb.2");

    let before = node.runtime.observe().remove(&lives.id).unwrap();
    let (runtime, network) = node.end().await;
    drop((runtime, network));
    let mut node = Node::start(dir, cgroup_base).await;
    node.want(3, [lives.clone()]);
    assert_eq!(node.told().await.state, TaskState::Running);
    assert_eq!(
        node.runtime.observe().remove(&lives.id),
        Some(before),
        "adopted, not restarted"
    );
    node.until("the forgotten task is gone", |n| {
        n.runtime.observe().len() == 1
    })
    .await;
    assert!(!node.netns(ends.id).exists());

    let netns = node.netns(lives.id);
    let (runtime, mut network) = node.end().await;
    assert_eq!(clear(runtime.clone(), &mut network).await, [""; 0]);
    assert!(runtime.observe().is_empty());
    assert!(!netns.exists());
    runtime.remove_base_cgroup().unwrap();
}
