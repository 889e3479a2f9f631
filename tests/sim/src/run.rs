//! One run: a cluster forms, suffers, heals, and is judged.

use crate::client::Client;
use crate::client::REGISTERS;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::faults::Counts;
use crate::faults::Fault;
use crate::faults::Havoc;
use crate::host::Surroundings;
use crate::invariants;
use crate::net::Net;
use crate::operator::Operator;
use crate::panics;
use crate::sabotage::Sabotage;
use crate::truth::Truth;
use crate::violations::Violations;
use crate::watcher::Watcher;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_history::ClientId;
use weft_history::DEFAULT_BUDGET;
use weft_history::Recorder;
use weft_history::Recording;
use weft_history::check_stream;
use weft_history::linearizable;

/// Clients that use registers at the same time.
const CLIENTS: u32 = 4;
/// Watchers that follow the state.
const WATCHERS: u32 = 2;
/// How long faults go on. Some of them last up to seven seconds; a run is to be over soon, since
/// many short runs find more than a few long ones.
const TROUBLE: Duration = Duration::from_secs(6);
/// How long things may take to be as asked for once all faults ended. A worker that was away is
/// down for some seconds, its tasks are replaced after a delay, and slots change one by one.
const CONVERGING: Duration = Duration::from_secs(60);
/// Seconds of real time without any of simulated time, that are not the machine's slowness.
const STILL: u32 = 120;
/// How often invariants are looked at, in simulated time.
const STEP: Duration = Duration::from_millis(50);

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How long faults go on, in simulated time.
    pub trouble: Duration,
    /// What is broken on purpose.
    pub sabotage: Sabotage,
    /// Which faults there are; `None`: the seed decides that too.
    pub faults: Option<&'static [Fault]>,
}

impl Plan {
    /// The run of a seed.
    pub fn of(seed: u64) -> Plan {
        Plan {
            seed,
            trouble: TROUBLE,
            sabotage: Sabotage::None,
            faults: None,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was not as promised; empty in a good run.
    pub violations: Vec<String>,
    /// What was done to it, in order.
    pub log: Vec<String>,
    /// How often each fault was done.
    pub faults: Counts,
    /// Operations on registers, and how many of them were answered.
    pub operations: (usize, usize),
    /// Calls of the operator: done, refused, not answered.
    pub calls: (u64, u64, u64),
    /// Log entries applied by all replicas together.
    pub applied: u64,
    /// Packets sent, and lost.
    pub packets: (u64, u64),
    /// Tasks that began to run.
    pub ran: u64,
    /// Restarts after a disk failed.
    pub failed_disks: u64,
    /// The highest term.
    pub term: u64,
    /// How long things took to be as asked for after the faults.
    pub converged: Duration,
    /// How long all of it was, in simulated time.
    pub lasted: Duration,
    /// Equal for two runs only if they applied the same.
    pub fingerprint: u64,
    /// What clients and watchers saw.
    pub recording: Recording,
}

/// Runs a plan on a runtime of its own, on this thread.
///
/// # Errors
/// The machine that runs the simulation is at fault: no runtime, no directory.
pub fn simulate(plan: Plan) -> std::io::Result<Report> {
    weft_raft::sim::begin(plan.seed);
    panics::count();
    let progress = Arc::new(AtomicU64::new(0));
    watch_over(plan.seed, Arc::downgrade(&progress));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(
        &plan.seed.to_be_bytes(),
    ));
    let runtime = builder.build()?;
    let dir = tempfile::Builder::new()
        .prefix("weft-sim-")
        .tempdir_in(memory())?;
    let report = runtime.block_on(Simulation::new(plan, dir.path(), progress).run());
    runtime.shutdown_background();
    Ok(report)
}

/// Ends the process when simulated time stands still: somebody does things for ever without
/// waiting, and a run on the same thread cannot notice.
fn watch_over(seed: u64, progress: Weak<AtomicU64>) {
    std::thread::spawn(move || {
        let (mut last, mut still) = (0, 0);
        while let Some(progress) = progress.upgrade() {
            let now = progress.load(Ordering::Relaxed);
            still = if now == last { still + 1 } else { 0 };
            last = now;
            drop(progress);
            if still > STILL {
                eprintln!(
                    "seed {seed}: simulated time stands still; repeat it with: make sim SEEDS=1 SEED={seed}"
                );
                std::process::abort();
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// A file system in memory where there is one: snapshots are files, and syncing them is slow.
fn memory() -> PathBuf {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        shm.to_owned()
    } else {
        std::env::temp_dir()
    }
}

struct Simulation {
    plan: Plan,
    dice: Dice,
    cluster: Cluster,
    book: Recorder,
    violations: Violations,
    truth: Truth,
    failed_disks: u64,
    /// Rises with simulated time.
    progress: Arc<AtomicU64>,
    /// Revisions whose state was looked at.
    looked: Mutex<BTreeSet<u64>>,
}

impl Simulation {
    fn new(plan: Plan, dir: &Path, progress: Arc<AtomicU64>) -> Simulation {
        let dice = Dice::new(plan.seed);
        let violations = Violations::default();
        let truth = Truth::new(violations.clone());
        let around = Surroundings {
            net: Net::new(dice.fork()),
            truth: truth.clone(),
            violations: violations.clone(),
            dir: dir.to_owned(),
            sabotage: plan.sabotage,
            begun: Instant::now(),
        };
        let managers = if dice.per_mille(250) { 5 } else { 3 };
        let cluster = Cluster::new(managers, 3, around, &dice);
        Simulation {
            plan,
            dice,
            cluster,
            book: Recorder::new(),
            violations,
            truth,
            failed_disks: 0,
            progress,
            looked: Mutex::default(),
        }
    }

    async fn run(mut self) -> Report {
        let havoc = Havoc::new(self.cluster.clone(), self.dice.fork(), self.plan.faults);
        let operator = Operator::new(self.cluster.clone(), self.dice.fork());
        let watcher = |n| Watcher::new(n, self.cluster.clone(), self.dice.fork());
        let watchers: Vec<Watcher> = (0..WATCHERS).map(watcher).collect();
        let mut converged = Duration::ZERO;
        match self.cluster.form().await {
            Err(problem) => self.violations.add(problem),
            Ok(()) => {
                converged = self.live(&havoc, &operator, &watchers).await;
                self.judge(&operator, &watchers);
            }
        }
        let streams = watchers.iter().flat_map(Watcher::streams).collect();
        let history = self.book.history();
        let calls = operator.calls();
        let habits = &self.cluster.habits;
        let term = |running: &crate::host::Running| running.raft.status().borrow().term;
        Report {
            violations: self.violations.all(),
            log: havoc.log(),
            faults: havoc.counts(),
            operations: (history.len(), history.answered()),
            calls: (calls.done, calls.refused, calls.unknown),
            applied: self.truth.applied(),
            packets: self.cluster.around.net.packets(),
            ran: habits.ran.load(Ordering::Relaxed),
            failed_disks: self.failed_disks,
            term: self
                .cluster
                .all_running()
                .iter()
                .map(term)
                .max()
                .unwrap_or(0),
            converged,
            lasted: self.cluster.around.begun.elapsed(),
            fingerprint: self.truth.fingerprint(),
            recording: Recording { history, streams },
        }
    }

    /// Trouble, and the time after it. Returns how long that was.
    async fn live(&mut self, havoc: &Havoc, operator: &Operator, watchers: &[Watcher]) -> Duration {
        let mut watching = JoinSet::new();
        for watcher in watchers {
            watching.spawn(watcher.clone().run());
        }
        let mut working = JoinSet::new();
        for number in 0..CLIENTS {
            working.spawn(self.client(number).run());
        }
        working.spawn(operator.clone().run());
        self.cluster.habits.failing.store(20, Ordering::Relaxed);
        let mut trouble = JoinSet::new();
        trouble.spawn(havoc.clone().run());
        trouble.spawn(havoc.clone().run());
        if self.dice.per_mille(300) {
            trouble.spawn(havoc.clone().run());
        }
        let end = Instant::now() + self.plan.trouble;
        while Instant::now() < end && !self.violations.any() {
            sleep(STEP).await;
            self.failed_disks += self.cluster.restart_failed().await;
            self.look();
        }
        trouble.shutdown().await;
        havoc.heal().await;
        self.cluster.habits.failing.store(0, Ordering::Relaxed);
        working.shutdown().await;
        if self.violations.any() {
            return Duration::ZERO;
        }
        let cluster = self.cluster.clone();
        let converged = cluster.within(CONVERGING, |cluster| {
            self.look();
            invariants::unconverged(cluster)
        });
        let took = match converged.await {
            Ok(took) => took,
            Err(what) => {
                self.violations.add(format!("not converged (I8): {what}"));
                CONVERGING
            }
        };
        self.read_everything().await;
        watching.shutdown().await;
        took
    }

    fn client(&self, number: u32) -> Client {
        Client {
            id: ClientId(number),
            cluster: self.cluster.clone(),
            book: self.book.clone(),
            dice: self.dice.fork(),
        }
    }

    /// What must hold at any time.
    fn look(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        if panics::seen() > 0 {
            self.violations.add("something panicked, see above (I9)");
        }
        if let Some(what) = invariants::disagreement(&self.cluster) {
            self.violations.add(what);
        }
        for running in self.cluster.all_running() {
            let view = running.store.view();
            // A state that another manager had was looked at then: they are compared as well.
            if self.looked.lock().insert(view.revision())
                && let Some(what) = invariants::broken(&view)
            {
                self.violations.add(format!("{}: {what}", running.who));
            }
        }
    }

    /// Every manager is asked for every register: whatever was acknowledged shows everywhere.
    async fn read_everything(&self) {
        for running in self.cluster.all_running() {
            let client = self.client(CLIENTS);
            for key in 0..REGISTERS {
                client.read(&running, key).await;
            }
        }
    }

    fn judge(&self, operator: &Operator, watchers: &[Watcher]) {
        if let Err(problem) = linearizable(&self.book.history(), DEFAULT_BUDGET) {
            self.violations.add(format!("{problem} (I1, I2)"));
        }
        let ledger = self.truth.ledger();
        for stream in watchers.iter().flat_map(Watcher::streams) {
            if let Err(problem) = check_stream(&stream, &ledger) {
                self.violations.add(format!("{problem} (I3)"));
            }
        }
        if let Some(running) = self.cluster.all_running().first()
            && let Some(lost) = operator.lost(&running.store.view())
            && !self.violations.any()
        {
            self.violations.add(lost);
        }
    }
}
