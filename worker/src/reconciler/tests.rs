use super::*;
use crate::dataplane::Round;
use crate::fixture::desired;
use crate::fixture::node_facts;
use crate::fixture::task;
use crate::fixture::task_id;
use crate::runtime::ExitReason;
use crate::runtime::LogLines;
use crate::runtime::LogQuery;
use crate::runtime::RuntimeError;
use crate::runtime::TaskLaunch;
use crate::runtime::fake::Call;
use crate::runtime::fake::FakeRuntime;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use weft_proto::MaterialId;
use weft_proto::assignment::MaterialRecord;
use weft_proto::object::Data;
use weft_proto::object::TaskStatus;
use weft_proto::spec::MaterialKind;
use weft_proto::task_state::DesiredState;
use weft_proto::time::SystemClock;

#[derive(Clone, Debug, Default)]
struct FakeNetwork(Arc<Mutex<NetworkState>>);

#[derive(Debug, Default)]
struct NetworkState {
    broken: BTreeMap<TaskId, String>,
    active: BTreeSet<TaskId>,
    cleared: bool,
}

impl Network for FakeNetwork {
    async fn reconcile(&mut self, _: &Desired, active: &BTreeSet<TaskId>) -> Round {
        let mut state = self.0.lock();
        state.active.clone_from(active);
        let netns = |id: &TaskId| match state.broken.get(id) {
            Some(reason) => Err(reason.clone()),
            None => Ok(PathBuf::from(format!("/ns/{id}"))),
        };
        let tasks = active.iter().map(|id| (*id, netns(id))).collect();
        Round {
            tasks,
            problems: Vec::new(),
        }
    }

    async fn clear(&mut self) -> Vec<String> {
        self.0.lock().cleared = true;
        Vec::new()
    }
}

/// Its stops last until they are let go.
#[derive(Debug, Default)]
struct SlowStops {
    inner: FakeRuntime,
    let_go: CancellationToken,
}

#[async_trait::async_trait]
impl Runtime for SlowStops {
    async fn prepare(&self, launch: TaskLaunch) -> Result<(), RuntimeError> {
        self.inner.prepare(launch).await
    }
    async fn start(&self, task: TaskId) -> Result<TaskObservation, RuntimeError> {
        self.inner.start(task).await
    }
    async fn stop(
        &self,
        task: TaskId,
        policy: StopPolicy,
    ) -> Result<TaskObservation, RuntimeError> {
        self.let_go.cancelled().await;
        self.inner.stop(task, policy).await
    }
    async fn remove(&self, task: TaskId) -> Result<(), RuntimeError> {
        self.inner.remove(task).await
    }
    async fn check(&self, task: TaskId, command: &[String], t: Duration) -> Result<(), String> {
        self.inner.check(task, command, t).await
    }
    fn observe(&self) -> BTreeMap<TaskId, TaskObservation> {
        self.inner.observe()
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }
    async fn logs(&self, task: TaskId, query: LogQuery) -> Result<LogLines, RuntimeError> {
        self.inner.logs(task, query).await
    }
}

struct World<R = FakeRuntime> {
    desired: watch::Sender<Arc<Desired>>,
    runtime: Arc<R>,
    network: FakeNetwork,
    reports: mpsc::Receiver<TaskReport>,
    applied: watch::Receiver<u64>,
    stop: CancellationToken,
    running: JoinHandle<FakeNetwork>,
}

impl World {
    fn start() -> Self {
        Self::start_with(Arc::new(FakeRuntime::new()))
    }
}

impl<R: Runtime + 'static> World<R> {
    fn start_with(runtime: Arc<R>) -> Self {
        let (desired, desired_rx) = watch::channel(Arc::default());
        let (reports_tx, reports) = mpsc::channel(64);
        let (applied_tx, applied) = watch::channel(0);
        let network = FakeNetwork::default();
        let stop = CancellationToken::new();
        let reconciler = Reconciler::new(Parts {
            desired: desired_rx,
            node: node_facts(),
            resolv_conf: ResolvConf::default(),
            runtime: runtime.clone(),
            network: network.clone(),
            reports: reports_tx,
            applied: applied_tx,
            clock: Arc::new(SystemClock),
            network_patience: Duration::from_secs(1),
        });
        let running = tokio::spawn(reconciler.run(stop.clone()));
        World {
            desired,
            runtime,
            network,
            reports,
            applied,
            stop,
            running,
        }
    }

    fn want(&self, revision: u64, tasks: impl IntoIterator<Item = Task>) {
        self.desired
            .send_replace(Arc::new(desired(revision, tasks)));
    }

    /// Waits until task `n` is reported to be in `state`.
    async fn told(&mut self, n: u32, state: TaskState) -> TaskStatus {
        let wait = async {
            loop {
                let report = self.reports.recv().await.expect("a report");
                if report.task == task_id(n) && report.status.state == state {
                    return report.status;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .unwrap_or_else(|_| panic!("task {n} is reported {state}"))
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .expect("the condition holds in time");
    }
}

fn with(mut task: Task, state: TaskState, desired: DesiredState) -> Task {
    task.status.state = state;
    task.desired = desired;
    task
}

#[tokio::test]
async fn a_task_is_run_and_its_end_reported() {
    let mut world = World::start();
    world.want(5, [task(1)]);
    world.told(1, TaskState::Accepted).await;
    world.told(1, TaskState::Preparing).await;
    world.told(1, TaskState::Running).await;
    world
        .applied
        .wait_for(|applied| *applied == 5)
        .await
        .unwrap();
    world.runtime.exit(task_id(1), ExitReason::Code(1));
    let status = world.told(1, TaskState::Failed).await;
    assert_eq!(status.error, "exit code 1");
    assert_eq!(status.exit_code, Some(1));
    world.until(|w| w.network.0.lock().active.is_empty()).await;
}

#[tokio::test]
async fn an_unwanted_task_is_stopped_and_removed_only_when_the_cluster_forgot_it() {
    let mut world = World::start();
    world.want(1, [task(1)]);
    world.told(1, TaskState::Running).await;
    world.runtime.take_calls();
    world.want(
        2,
        [with(task(1), TaskState::Running, DesiredState::Shutdown)],
    );
    world.told(1, TaskState::Shutdown).await;
    let policy = stop_policy(&task(1));
    assert_eq!(world.runtime.take_calls(), [Call::Stop(task_id(1), policy)]);
    world.want(3, []);
    world.until(|w| w.runtime.observe().is_empty()).await;
    assert_eq!(
        world.runtime.take_calls().last(),
        Some(&Call::Remove(task_id(1)))
    );
}

#[tokio::test]
async fn a_task_with_a_broken_network_does_not_hold_the_others() {
    let mut world = World::start();
    let broken = BTreeMap::from([(task_id(1), "no bridge".to_owned())]);
    world.network.0.lock().broken = broken;
    world.want(1, [task(1), task(2)]);
    world.told(2, TaskState::Running).await;
    assert_eq!(*world.applied.borrow(), 0, "not everything is done");
    let status = world.told(1, TaskState::Failed).await;
    assert_eq!(status.error, "network: no bridge");
    world
        .applied
        .wait_for(|applied| *applied == 1)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_slow_stop_keeps_its_network_and_does_not_hold_other_tasks() {
    let mut world = World::start_with(Arc::new(SlowStops::default()));
    world.want(1, [task(1)]);
    world.told(1, TaskState::Running).await;
    let unwanted = with(task(1), TaskState::Running, DesiredState::Shutdown);
    world.want(2, [unwanted, task(2)]);
    world.told(2, TaskState::Running).await;
    assert!(world.network.0.lock().active.contains(&task_id(1)));
    world.runtime.let_go.cancel();
    world.told(1, TaskState::Shutdown).await;
    world
        .until(|w| !w.network.0.lock().active.contains(&task_id(1)))
        .await;
}

#[tokio::test]
async fn a_network_that_heals_in_time_lets_the_task_run() {
    let mut world = World::start();
    let broken = BTreeMap::from([(task_id(1), "no bridge".to_owned())]);
    world.network.0.lock().broken = broken;
    world.want(1, [task(1)]);
    world.told(1, TaskState::Preparing).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.network.0.lock().broken.clear();
    world.told(1, TaskState::Running).await;
}

#[tokio::test]
async fn a_start_that_fails_is_told_with_its_reason() {
    let mut world = World::start();
    let source = crate::runtime::InvalidLaunch::NoCommand;
    let task_1 = task_id(1);
    world.runtime.push_failure(RuntimeError::Launch {
        task: task_1,
        source,
    });
    world.want(1, [task(1)]);
    let status = world.told(1, TaskState::Rejected).await;
    assert!(
        status.error.contains("the command is empty"),
        "{}",
        status.error
    );
}

#[tokio::test]
async fn a_failed_removal_is_tried_again() {
    let mut world = World::start();
    world.want(1, [task(1)]);
    world.told(1, TaskState::Running).await;
    let error = RuntimeError::Unkillable {
        task: task_id(1),
        waited_s: 1,
    };
    world.runtime.push_failure(error);
    world.want(2, []);
    world.until(|w| w.runtime.observe().is_empty()).await;
    world
        .applied
        .wait_for(|applied| *applied == 2)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_touched_until_somebody_said_what_is_wanted() {
    let world = World::start();
    world.want(1, [task(1)]);
    world.until(|w| !w.runtime.observe().is_empty()).await;
    world.stop.cancel();
    world.running.await.unwrap();
    // The daemon starts anew, and its record is lost.
    let again = World::start_with(world.runtime);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(again.runtime.observe().len(), 1);
}

#[tokio::test]
async fn a_stopping_daemon_leaves_its_tasks_alone_and_the_next_one_adopts_them() {
    let mut world = World::start();
    world.want(1, [task(1)]);
    world.told(1, TaskState::Running).await;
    world.stop.cancel();
    world.running.await.unwrap();
    world.runtime.take_calls();
    let mut again = World::start_with(world.runtime);
    again.want(1, [task(1)]);
    again.told(1, TaskState::Running).await;
    assert_eq!(again.runtime.take_calls(), []);
}

#[tokio::test]
async fn leaving_removes_every_task_and_network() {
    let mut world = World::start();
    world.want(1, [task(1), task(2)]);
    world.told(2, TaskState::Running).await;
    world.stop.cancel();
    let mut network = world.running.await.unwrap();
    assert_eq!(clear(world.runtime.clone(), &mut network).await, [""; 0]);
    assert!(world.runtime.observe().is_empty());
    assert!(network.0.lock().cleared);
}

fn checked(n: u32) -> Task {
    let mut task = task(n);
    task.spec.health = Some(weft_proto::spec::HealthCheck {
        command: vec!["check".to_owned()],
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(1),
        retries: 2.try_into().unwrap(),
        start_period: Duration::ZERO,
    });
    task
}

#[tokio::test]
async fn a_checked_task_runs_once_it_is_healthy_and_fails_when_it_is_not_any_more() {
    let mut world = World::start();
    world.runtime.ail(task_id(1), Some("exit code 1"));
    let mut slow = checked(1);
    if let Some(check) = &mut slow.spec.health {
        check.start_period = Duration::from_secs(3600);
    }
    world.want(1, [slow]);
    let starting = world.told(1, TaskState::Starting).await;
    assert!(starting.message.contains("start"), "{starting:?}");
    world.runtime.ail(task_id(1), None);
    world.told(1, TaskState::Running).await;
    world
        .runtime
        .ail(task_id(1), Some("exit code 1: no answer"));
    let failed = world.told(1, TaskState::Failed).await;
    assert!(failed.error.contains("2 times in a row"), "{failed:?}");
    assert!(failed.error.contains("no answer"), "{failed:?}");
    assert_eq!(failed.exit_code, None);
}

#[tokio::test]
async fn a_task_that_is_never_healthy_fails_and_never_ran() {
    let mut world = World::start();
    world.runtime.ail(task_id(1), Some("exit code 7"));
    world.want(1, [checked(1)]);
    let wait = async {
        loop {
            let report = world.reports.recv().await.expect("a report");
            assert_ne!(report.status.state, TaskState::Running);
            if report.status.state == TaskState::Failed {
                return report.status;
            }
        }
    };
    let failed = tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap();
    assert!(failed.error.contains("exit code 7"), "{failed:?}");
}
#[tokio::test]
async fn a_task_waits_for_its_secrets_and_says_so_and_starts_with_them() {
    let mut world = World::start();
    let record = secret();
    let mut wanted = desired(1, [using(&record)]);
    world.desired.send_replace(Arc::new(wanted.clone()));
    world.told(1, TaskState::Preparing).await;
    let waits = world.told(1, TaskState::Preparing).await;
    assert!(
        waits.message.contains("waits for secret pw"),
        "{}",
        waits.message
    );
    assert_eq!(world.runtime.take_calls(), []);

    wanted.revision = 2;
    wanted.materials.insert((record.id, 1), record.clone());
    world.desired.send_replace(Arc::new(wanted));
    world.told(1, TaskState::Running).await;
    let calls = world.runtime.take_calls();
    let Some(Call::Prepare(launch)) = calls.first() else {
        panic!("{calls:?}");
    };
    assert_eq!(launch.files[0].data, record.data);
    assert!(!format!("{calls:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_task_whose_files_cannot_be_made_is_rejected() {
    let mut world = World::start();
    let record = MaterialRecord {
        template: true,
        data: Data::new(b"{{env \"GONE\"}}".to_vec()),
        ..secret()
    };
    let mut wanted = desired(1, [using(&record)]);
    wanted.materials.insert((record.id, 1), record);
    world.desired.send_replace(Arc::new(wanted));
    let status = world.told(1, TaskState::Rejected).await;
    assert!(
        status
            .error
            .contains("secret pw: the task has no env \"GONE\""),
        "{}",
        status.error
    );
}

fn secret() -> MaterialRecord {
    MaterialRecord {
        kind: MaterialKind::Secret,
        id: MaterialId::from_entropy(5),
        version: 1,
        name: "pw".parse().unwrap(),
        template: false,
        data: Data::new(b"hunter2".to_vec()),
    }
}

fn using(record: &MaterialRecord) -> Task {
    let mut task = task(1);
    task.spec.files = vec![FileRef {
        kind: record.kind,
        material: record.id,
        name: record.name.clone(),
        version: 1,
        target: "/run/secrets/pw".to_owned(),
        uid: 0,
        gid: 0,
        mode: 0o444,
    }];
    task
}
