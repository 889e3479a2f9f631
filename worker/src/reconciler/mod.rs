//! Makes this node what it should be, round after round.
//!
//! Level-triggered: a round looks at everything (what is desired, what the runtime has), makes the
//! networks, takes the next step of every task, and tells what happened. Events only say that it
//! is time for a round; a missed one costs time, not correctness.

mod active;
mod problems;

use crate::dataplane::Network;
use crate::desired::Desired;
use crate::dns::ResolvConf;
use crate::network::task_files;
use crate::observed::TaskReport;
use crate::runtime::Runtime;
use crate::runtime::StopPolicy;
use crate::runtime::TaskObservation;
use crate::task::Checker;
use crate::task::Controller;
use crate::task::Health;
use crate::task::Job;
use crate::task::NodeFacts;
use crate::task::Step;
use crate::task::View;
use crate::task::launch;
use crate::task::missing;
use crate::task::next;
use crate::task::refused;
use crate::task::stop_policy;
use problems::Problems;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;
use weft_proto::TaskId;
use weft_proto::defaults;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::FileRef;
use weft_proto::task_state::TaskState;
use weft_proto::time::Clock;

/// Number of SIGTERM: what ends a task whose spec is not known any more.
const SIGTERM: i32 = 15;

/// How long a task waits for a network that cannot be made, before it fails and the cluster may
/// try elsewhere: several rounds of retries, so that a passing problem is no failure.
pub const NETWORK_PATIENCE: Duration = Duration::from_secs(10);

/// What a reconciler works with.
#[derive(Debug)]
pub struct Parts<N> {
    /// What this node should be. Revision 0: nobody said yet, and everything stays as it is.
    pub desired: watch::Receiver<Arc<Desired>>,
    /// What tasks are told of their node.
    pub node: NodeFacts,
    /// The node's resolvers, for what tasks ask of outside names.
    pub resolv_conf: ResolvConf,
    /// Runs tasks.
    pub runtime: Arc<dyn Runtime>,
    /// Makes networks.
    pub network: N,
    /// Where states of tasks are told.
    pub reports: mpsc::Sender<TaskReport>,
    /// The revision up to which everything was done.
    pub applied: watch::Sender<u64>,
    /// Stamps reports.
    pub clock: Arc<dyn Clock>,
    /// See [`NETWORK_PATIENCE`].
    pub network_patience: Duration,
}

/// Makes this node what it should be.
#[derive(Debug)]
pub struct Reconciler<N> {
    parts: Parts<N>,
    controller: Controller,
    checker: Checker,
    tasks: BTreeMap<TaskId, Memory>,
    problems: Problems,
}

/// What is remembered of a task from round to round.
#[derive(Clone, Copy, Debug)]
struct Memory {
    reported: TaskState,
    stop: StopPolicy,
    stuck_since: Option<Instant>,
    /// The cluster was told that it waits for a secret or config.
    lacks: bool,
}

impl<N: Network> Reconciler<N> {
    /// Has done nothing yet.
    pub fn new(parts: Parts<N>) -> Self {
        Reconciler {
            controller: Controller::new(Arc::clone(&parts.runtime)),
            checker: Checker::new(Arc::clone(&parts.runtime)),
            parts,
            tasks: BTreeMap::new(),
            problems: Problems::default(),
        }
    }

    /// Reconciles until `shutdown`; tasks and networks then stay as they are. Gives the network
    /// back.
    pub async fn run(mut self, shutdown: CancellationToken) -> N {
        let mut hints = self.parts.runtime.changes();
        while !shutdown.is_cancelled() {
            hints.mark_unchanged();
            let desired = Arc::clone(&self.parts.desired.borrow_and_update());
            let retry = self.round(&desired).await;
            let retry = async {
                match retry {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Every arm is cancel-safe: a change not taken here is seen by the next round.
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = self.parts.desired.changed() => if changed.is_err() { break },
                changed = hints.changed() => if changed.is_err() { break },
                () = self.controller.finished() => {}
                () = self.checker.changed() => {}
                () = retry => {}
            }
        }
        self.parts.network
    }

    /// Looks at everything once, and says when to look again if nothing changes.
    async fn round(&mut self, desired: &Desired) -> Option<Instant> {
        if desired.revision == 0 {
            return None;
        }
        let seen = self.parts.runtime.observe();
        self.remember(desired, &seen);
        let reported = |task| self.tasks.get(&task).map(|memory| memory.reported);
        let busy: BTreeSet<_> = self.controller.busy().collect();
        let active = active::tasks(desired, &seen, reported, &busy);
        let round = self.parts.network.reconcile(desired, &active).await;

        // Making networks takes time; tasks went on meanwhile.
        let seen = self.parts.runtime.observe();
        self.check(desired, &seen);
        let mut reports = Vec::new();
        for task in desired.tasks.values() {
            let netns = round.tasks.get(&task.id);
            let told = self.drive(task, netns, seen.get(&task.id), desired);
            reports.extend(told);
        }
        for task in seen.keys().filter(|id| !desired.tasks.contains_key(id)) {
            let policy = self
                .tasks
                .get(task)
                .map_or(DEFAULT_STOP, |memory| memory.stop);
            self.controller.begin(*task, Job::Remove(policy));
        }
        for report in reports {
            // A closed channel means that the node is stopping; the next start tells again.
            let _ = self.parts.reports.send(report).await;
        }

        let broken = round.tasks.iter().filter_map(|(task, netns)| {
            let reason = netns.as_ref().err()?;
            Some(format!("network of task {task}: {reason}"))
        });
        let now = broken
            .chain(round.problems)
            .chain(self.controller.problems())
            .collect();
        let pause = self.problems.update(now);
        if pause.is_none() {
            self.acknowledge(desired.revision);
        }
        let network = pause.map(|pause| Instant::now() + pause);
        [network, self.controller.retry_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Those that run and have a health check are checked from now on.
    fn check(&mut self, desired: &Desired, seen: &BTreeMap<TaskId, TaskObservation>) {
        self.checker.retain(|task| seen.contains_key(&task));
        let (now, at) = (Instant::now(), self.parts.clock.timestamp());
        for task in desired.tasks.values() {
            let Some(TaskObservation::Running { started_at, .. }) = seen.get(&task.id) else {
                continue;
            };
            if let Some(check) = &task.spec.health {
                let age = at.since((*started_at).into());
                let started = now.checked_sub(age).unwrap_or(now);
                let known = self.tasks.get(&task.id);
                let healthy = known.is_some_and(|known| known.reported >= TaskState::Running);
                self.checker.watch(task.id, check, started, healthy);
            }
        }
    }

    /// Brings the memory of tasks up to what is desired and seen.
    fn remember(&mut self, desired: &Desired, seen: &BTreeMap<TaskId, TaskObservation>) {
        let controller = &self.controller;
        self.tasks.retain(|task, _| {
            desired.tasks.contains_key(task) || seen.contains_key(task) || controller.is_busy(*task)
        });
        let tasks = &mut self.tasks;
        for task in desired.tasks.values() {
            let fresh = Memory {
                reported: task.status.state,
                stop: stop_policy(task),
                stuck_since: None,
                lacks: false,
            };
            let memory = tasks.entry(task.id).or_insert(fresh);
            memory.reported = memory.reported.max(task.status.state);
            memory.stop = fresh.stop;
        }
        self.controller.retain(|task| tasks.contains_key(&task));
    }

    /// Takes steps of one task until it has to wait, and returns what is to be told.
    fn drive(
        &mut self,
        task: &Task,
        netns: Option<&Result<PathBuf, String>>,
        seen: Option<&TaskObservation>,
        desired: &Desired,
    ) -> Vec<TaskReport> {
        let mut reports = Vec::new();
        let Some(memory) = self.tasks.get_mut(&task.id) else {
            return reports;
        };
        memory.stuck_since = match netns {
            Some(Err(_)) => memory.stuck_since.or_else(|| Some(Instant::now())),
            Some(Ok(_)) | None => None,
        };
        let patience = self.parts.network_patience;
        let given_up = memory
            .stuck_since
            .is_some_and(|since| since.elapsed() >= patience);
        loop {
            let step = next(&View {
                task,
                reported: memory.reported,
                netns,
                network_given_up: given_up,
                seen,
                health: match task.spec.health {
                    Some(_) => self.checker.health(task.id),
                    None => &Health::Unchecked,
                },
                busy: self.controller.is_busy(task.id),
                failure: self.controller.start_failure(task.id),
                now: self.parts.clock.timestamp(),
            });
            match step {
                Step::Wait => return reports,
                Step::Start(netns) => {
                    let lookup = |file: &FileRef| desired.material(file);
                    if let Some(what) = missing(task, &lookup) {
                        if !memory.lacks {
                            memory.lacks = true;
                            let status = lacks(memory.reported, &what, &*self.parts.clock);
                            info!(task = %task.id, name = %task.name(), "{}", status.message);
                            let task = task.id;
                            reports.push(TaskReport { task, status });
                        }
                        return reports;
                    }
                    memory.lacks = false;
                    let mut launch = match launch(task, netns, &self.parts.node, &lookup) {
                        Ok(launch) => launch,
                        Err(problem) => {
                            let now = self.parts.clock.timestamp();
                            let status = refused(problem, memory.reported, now);
                            info!(task = %task.id, name = %task.name(), error = %status.error, "task refused");
                            memory.reported = status.state;
                            let task = task.id;
                            reports.push(TaskReport { task, status });
                            return reports;
                        }
                    };
                    if let Some(files) = task_files(desired, task.id, &self.parts.resolv_conf) {
                        (launch.hosts, launch.resolv_conf) = (files.hosts, files.resolv_conf);
                    }
                    let job = Job::Start(Box::new(launch));
                    self.controller.begin(task.id, job);
                    return reports;
                }
                Step::Stop => {
                    self.controller.begin(task.id, Job::Stop(memory.stop));
                    return reports;
                }
                Step::Report(status) => {
                    info!(
                        task = %task.id, name = %task.name(), from = %memory.reported,
                        to = %status.state, error = %status.error, "task state changed"
                    );
                    memory.reported = status.state;
                    reports.push(TaskReport {
                        task: task.id,
                        status,
                    });
                }
            }
        }
    }

    fn acknowledge(&self, revision: u64) {
        self.parts.applied.send_if_modified(|applied| {
            let changed = *applied != revision;
            *applied = revision;
            changed
        });
    }
}

/// A task that waits for what only a manager has.
fn lacks(reported: TaskState, what: &str, clock: &dyn Clock) -> TaskStatus {
    TaskStatus {
        state: reported,
        at: clock.timestamp(),
        message: format!(
            "waits for {what}: this node keeps no secrets on disk, a manager sends them"
        ),
        error: String::new(),
        exit_code: None,
    }
}

/// How a task is ended whose spec is not known any more.
const DEFAULT_STOP: StopPolicy = StopPolicy {
    signal: SIGTERM,
    grace: defaults::STOP_GRACE,
};

/// Ends and removes every task and every network: for a node that leaves its cluster. Does all it
/// can, and returns what it could not do.
pub async fn clear(runtime: Arc<dyn Runtime>, network: &mut impl Network) -> Vec<String> {
    let mut controller = Controller::new(Arc::clone(&runtime));
    for task in runtime.observe().into_keys() {
        controller.begin(task, Job::Remove(DEFAULT_STOP));
    }
    while controller.busy().next().is_some() {
        controller.finished().await;
    }
    let mut problems: Vec<_> = controller.problems().collect();
    problems.extend(network.clear().await);
    problems
}

#[cfg(test)]
mod tests;
