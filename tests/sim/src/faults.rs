//! What is done to the machines and the network.

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::net::FAIR;
use crate::net::Place;
use crate::net::Weather;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;
use weft_raft::RaftId;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A manager dies and comes back.
    Kill,
    /// The leader dies and comes back.
    KillLeader,
    /// All managers die at once.
    KillAll,
    /// A manager hears and says nothing.
    Isolate,
    /// What a manager says is lost.
    Mute,
    /// What it should hear is lost.
    Deaf,
    /// Two halves that only one manager still connects.
    Bridge,
    /// Long delays and losses.
    Storm,
    /// A disk takes long.
    SlowDisk,
    /// A disk fails for a while.
    FailingDisk,
    /// A clock is wrong by up to a year.
    Clock,
    /// The leader hands its office over.
    Transfer,
    /// A manager takes a snapshot.
    Snapshot,
    /// An agent dies and comes back.
    AgentKill,
    /// A worker loses power.
    PowerOff,
    /// An agent reaches no manager.
    AgentCut,
}

const ALL: [Fault; 16] = [
    Fault::Kill,
    Fault::KillLeader,
    Fault::KillAll,
    Fault::Isolate,
    Fault::Mute,
    Fault::Deaf,
    Fault::Bridge,
    Fault::Storm,
    Fault::SlowDisk,
    Fault::FailingDisk,
    Fault::Clock,
    Fault::Transfer,
    Fault::Snapshot,
    Fault::AgentKill,
    Fault::PowerOff,
    Fault::AgentCut,
];

/// How often each was done.
pub type Counts = BTreeMap<Fault, u64>;

/// Does one thing after the other, until dropped. Clones count together.
#[derive(Clone, Debug)]
pub struct Havoc {
    cluster: Cluster,
    dice: Dice,
    only: Option<&'static [Fault]>,
    counts: Arc<Mutex<Counts>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Havoc {
    /// Against a cluster.
    pub fn new(cluster: Cluster, dice: Dice, only: Option<&'static [Fault]>) -> Havoc {
        Havoc {
            cluster,
            dice,
            only,
            counts: Arc::default(),
            log: Arc::default(),
        }
    }

    /// How often each fault was done.
    pub fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }

    /// What was done, and when.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// Goes on until dropped.
    pub async fn run(self) {
        // A run has some kinds of faults and not others, so that rare ones meet.
        let mut kinds: Vec<Fault> = ALL
            .into_iter()
            .filter(|_| self.dice.per_mille(500))
            .collect();
        if let Some(only) = self.only {
            kinds = only.to_vec();
        }
        loop {
            sleep(self.dice.millis(50, 1000)).await;
            let fault = self.dice.pick(&kinds).copied();
            self.inflict(fault.unwrap_or(Fault::Kill)).await;
        }
    }

    async fn inflict(&self, fault: Fault) {
        *self.counts.lock().entry(fault).or_insert(0) += 1;
        let at = self.cluster.around.begun.elapsed();
        let some = self.manager();
        self.log.lock().push(format!(
            "{:.3} s: {fault:?} ({})",
            at.as_secs_f64(),
            some + 1
        ));
        match fault {
            Fault::Kill => self.restart(vec![some]).await,
            Fault::KillLeader => {
                let leader = self.cluster.leader();
                self.restart(vec![leader.unwrap_or(some)]).await;
            }
            Fault::KillAll => {
                let all = 0..self.cluster.places().len();
                self.restart(all.collect()).await;
            }
            Fault::Isolate => self.cut(some, true, true).await,
            Fault::Mute => self.cut(some, true, false).await,
            Fault::Deaf => self.cut(some, false, true).await,
            Fault::Bridge => self.bridge(some).await,
            Fault::Storm => self.storm().await,
            Fault::SlowDisk => self.slow_disk(some).await,
            Fault::FailingDisk => {
                let fail = |host: &crate::host::Host| host.disk.set_failing(true);
                self.cluster.with_host(some, fail).await;
                sleep(self.dice.millis(10, 500)).await;
                let mend = |host: &crate::host::Host| host.disk.set_failing(false);
                self.cluster.with_host(some, mend).await;
            }
            Fault::Clock => {
                let year = 365 * 24 * 3600 * 1000;
                let skew = i64::try_from(self.dice.below(2 * year)).unwrap_or(0);
                let skew = skew - i64::try_from(year).unwrap_or(0);
                let set = |host: &crate::host::Host| {
                    host.clock.skew_ms.store(skew, Ordering::Relaxed);
                };
                self.cluster.with_host(some, set).await;
            }
            Fault::Transfer => self.transfer(some).await,
            Fault::Snapshot => {
                if let Some(running) = self.cluster.running(some) {
                    running.raft.build_snapshot().await;
                }
            }
            Fault::AgentKill | Fault::PowerOff | Fault::AgentCut => self.agent(fault).await,
        }
    }

    fn manager(&self) -> usize {
        let managers = self.cluster.places().len() as u64;
        usize::try_from(self.dice.below(managers)).unwrap_or(0)
    }

    async fn restart(&self, numbers: Vec<usize>) {
        for number in &numbers {
            self.cluster.kill(*number).await;
        }
        // Half of the time others go on meanwhile; otherwise it is back before they notice.
        let (short, long) = (self.dice.millis(1, 100), self.dice.millis(100, 3000));
        sleep(if self.dice.per_mille(500) {
            short
        } else {
            long
        })
        .await;
        for number in numbers {
            self.cluster.start(number).await;
        }
    }

    async fn cut(&self, number: usize, mute: bool, deaf: bool) {
        let me = self.cluster.places()[number];
        // Agents may go on reaching a manager that the others do not reach.
        let everywhere = self.dice.per_mille(500);
        let others = self.everybody().into_iter();
        for other in others.filter(|other| *other != me && (everywhere || other.0 < 100)) {
            if mute {
                self.cluster.around.net.cut(me, other);
            }
            if deaf {
                self.cluster.around.net.cut(other, me);
            }
        }
        self.while_it_lasts().await;
    }

    async fn bridge(&self, bridge: usize) {
        let bridge = self.cluster.places()[bridge];
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for place in self.everybody().into_iter().filter(|one| *one != bridge) {
            match place.0 % 2 {
                0 => left.push(place),
                _ => right.push(place),
            }
        }
        for (one, other) in left.iter().flat_map(|l| right.iter().map(move |r| (l, r))) {
            self.cluster.around.net.cut(*one, *other);
            self.cluster.around.net.cut(*other, *one);
        }
        self.while_it_lasts().await;
    }

    async fn while_it_lasts(&self) {
        sleep(self.dice.millis(100, 4000)).await;
        self.cluster.around.net.heal();
    }

    async fn storm(&self) {
        let weather = Weather {
            least_ms: self.dice.below(20),
            most_ms: self.dice.between(20, 200),
            lost: self.dice.below(150),
        };
        self.cluster.around.net.set_weather(weather);
        sleep(self.dice.millis(500, 4000)).await;
        self.cluster.around.net.set_weather(FAIR);
    }

    async fn slow_disk(&self, number: usize) {
        let (slow, fast) = (self.dice.fork(), self.dice.fork());
        let most = self.dice.between(20, 1500);
        let slow_down = |host: &crate::host::Host| {
            host.disk
                .set_sync_time(Box::new(move || slow.millis(most / 2, most)));
        };
        self.cluster.with_host(number, slow_down).await;
        sleep(self.dice.millis(500, 4000)).await;
        let speed_up = |host: &crate::host::Host| {
            host.disk.set_sync_time(Box::new(move || fast.millis(0, 3)));
        };
        self.cluster.with_host(number, speed_up).await;
    }

    async fn transfer(&self, to: usize) {
        let leader = self
            .cluster
            .leader()
            .and_then(|at| self.cluster.running(at));
        if let Some(leader) = leader {
            let to = RaftId(self.cluster.places()[to].0);
            // It may be refused, and may fail half-way.
            let handed = leader.raft.transfer_leader(to);
            drop(tokio::time::timeout(Duration::from_secs(2), handed).await);
        }
    }

    async fn agent(&self, fault: Fault) {
        let agents = self.cluster.agents() as u64;
        let number = usize::try_from(self.dice.below(agents)).unwrap_or(0);
        let Some(agent) = self.cluster.agent(number) else {
            return;
        };
        let place = agent.lock().place;
        let cut = fault == Fault::AgentCut;
        if cut {
            for manager in self.cluster.places() {
                self.cluster.around.net.cut(place, *manager);
                self.cluster.around.net.cut(*manager, place);
            }
        } else if fault == Fault::PowerOff {
            agent.lock().power_off();
        } else {
            agent.lock().kill();
        }
        // Some of these are longer than what makes a node down.
        sleep(self.dice.millis(100, 7000)).await;
        if cut {
            self.cluster.around.net.heal();
        } else {
            agent.lock().start();
        }
    }

    fn everybody(&self) -> Vec<Place> {
        let agents = (1..=self.cluster.agents() as u64).map(|n| Place(100 + n));
        let managers = self.cluster.places().iter().copied();
        managers.chain(agents).collect()
    }

    /// Ends all faults: everything runs, everybody reaches everybody, disks work.
    pub async fn heal(&self) {
        self.cluster.around.net.heal();
        for number in 0..self.cluster.places().len() {
            let pace = self.dice.fork();
            let mend = |host: &crate::host::Host| {
                host.disk.set_failing(false);
                host.disk.set_sync_time(Box::new(move || pace.millis(0, 3)));
            };
            self.cluster.with_host(number, mend).await;
            self.cluster.start(number).await;
        }
        for number in 0..self.cluster.agents() {
            if let Some(agent) = self.cluster.agent(number) {
                agent.lock().start();
            }
        }
    }
}
