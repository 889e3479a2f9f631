//! All machines of a run.

use crate::agent::Agent;
use crate::agent::Habits;
use crate::dice::Dice;
use crate::founding::founding;
use crate::host::Host;
use crate::host::Running;
use crate::host::Surroundings;
use crate::net::Place;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

/// How long a cluster may take to form, in simulated time.
const FORMING: Duration = Duration::from_secs(60);

/// The machines. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What they share.
    pub around: Surroundings,
    /// What agents do.
    pub habits: Arc<Habits>,
    hosts: Arc<Vec<tokio::sync::Mutex<Host>>>,
    running: Arc<Vec<Mutex<Option<Running>>>>,
    agents: Arc<Vec<Mutex<Agent>>>,
    places: Vec<Place>,
}

impl Cluster {
    /// Machines on which nothing runs.
    pub fn new(managers: u64, workers: u64, around: Surroundings, dice: &Dice) -> Cluster {
        let places: Vec<Place> = (1..=managers).map(Place).collect();
        let hosts = places
            .iter()
            .map(|place| tokio::sync::Mutex::new(Host::new(*place, &around, dice)));
        let habits = Arc::new(Habits::default());
        let agent = |number| {
            let (habits, net) = (Arc::clone(&habits), around.net.clone());
            Agent::new(Place(100 + number), places.clone(), habits, net, dice)
        };
        Cluster {
            hosts: Arc::new(hosts.collect()),
            running: Arc::new(places.iter().map(|_| Mutex::default()).collect()),
            agents: Arc::new((1..=workers).map(|n| Mutex::new(agent(n))).collect()),
            habits,
            places,
            around,
        }
    }

    /// Where managers are.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How many agents there are.
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    /// One of the agents.
    pub fn agent(&self, number: usize) -> Option<&Mutex<Agent>> {
        self.agents.get(number)
    }

    /// Founds the cluster with the first manager, and lets the others join.
    ///
    /// # Errors
    /// What did not happen in time.
    pub async fn form(&self) -> Result<(), String> {
        self.start(0).await;
        let first = self.running(0).ok_or("the first manager does not run")?;
        first.raft.bootstrap().await.map_err(|e| e.to_string())?;
        let workers: Vec<Place> = self.agents.iter().map(|agent| agent.lock().place).collect();
        let changes = founding(&self.places, &workers).map_err(|e| e.to_string())?;
        let founded = first.proposer.propose(changes).await;
        founded.map_err(|error| error.to_string())?;
        for number in 1..self.places.len() {
            self.start(number).await;
        }
        for agent in self.agents.iter() {
            agent.lock().start();
        }
        let everybody = self.places.len();
        let mut status = first.raft.status();
        let formed = status.wait_for(|now| now.voters.len() == everybody && !now.joint);
        match timeout(FORMING, formed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(format!("no group of {everybody} managers was formed")),
        }
    }

    /// The manager with this number, from 0, if it runs.
    pub fn running(&self, number: usize) -> Option<Running> {
        self.running.get(number)?.lock().clone()
    }

    /// All managers that run.
    pub fn all_running(&self) -> Vec<Running> {
        let running = self.running.iter();
        running.filter_map(|one| one.lock().clone()).collect()
    }

    /// The manager that says it leads, in the highest term if several do.
    pub fn leader(&self) -> Option<usize> {
        let leads = |number: &usize| {
            let running = self.running(*number)?;
            let status = running.raft.status().borrow().clone();
            status.is_leader.then_some((status.term, *number))
        };
        let leaders = (0..self.places.len()).filter_map(|number| leads(&number));
        leaders.max().map(|(_, number)| number)
    }

    /// Starts a manager, from what is on its disk.
    pub async fn start(&self, number: usize) {
        let (Some(host), Some(running)) = (self.hosts.get(number), self.running.get(number)) else {
            return;
        };
        let mut host = host.lock().await;
        if host.running.is_none() {
            host.start().await;
        }
        running.lock().clone_from(&host.running);
    }

    /// Kills a manager.
    pub async fn kill(&self, number: usize) {
        let (Some(host), Some(running)) = (self.hosts.get(number), self.running.get(number)) else {
            return;
        };
        let mut host = host.lock().await;
        host.kill();
        *running.lock() = None;
    }

    /// Does something to a machine.
    pub async fn with_host(&self, number: usize, what: impl FnOnce(&Host)) {
        if let Some(host) = self.hosts.get(number) {
            what(&*host.lock().await);
        }
    }

    /// Ends processes whose member cannot go on, as their main function would, and starts them
    /// again, as an init system would. Returns how many.
    pub async fn restart_failed(&self) -> u64 {
        let mut restarted = 0;
        for number in 0..self.places.len() {
            let Some(running) = self.running(number) else {
                continue;
            };
            let fatal = running.raft.status().borrow().fatal.clone();
            if let Some(reason) = fatal {
                if !reason.contains("the disk fails") {
                    let what = format!("{} cannot go on: {reason} (I9)", running.who);
                    self.around.violations.add(what);
                }
                self.kill(number).await;
                self.start(number).await;
                restarted += 1;
            }
        }
        restarted
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// What did not hold in time.
    pub async fn within(
        &self,
        limit: Duration,
        mut unmet: impl FnMut(&Cluster) -> Option<String>,
    ) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let Some(what) = unmet(self) else {
                return Ok(begun.elapsed());
            };
            if begun.elapsed() >= limit {
                return Err(format!("after {limit:?}: {what}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
