//! Does to managers what the plan says, and undoes it.

use crate::node::Node;
use crate::plan::Direction;
use crate::plan::Fault;
use crate::plan::Settle;
use crate::plan::Step;
use crate::record::Recorder;
use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;
use tokio::runtime::Handle;
use weft_rig::DaemonState;
use weft_rig::Host;

/// How long a daemon may take to say who leads, before it counts as silent.
const INFO: Duration = Duration::from_millis(400);

/// A cluster that can make progress must do so within this time, on a busy machine.
const PROGRESS: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// The table that holds a cut's rules, in the manager's own namespace.
const TABLE: &str = "chaos";

/// What was done so far, and what it did.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Steps.
    pub steps: u64,
    /// Managers that got SIGKILL.
    pub kills: u64,
    /// Of these, those that led.
    pub leaders: u64,
    /// Steps that killed all at once.
    pub blackouts: u64,
    /// Managers that got SIGSTOP and SIGCONT.
    pub stops: u64,
    /// Managers that were cut off and healed.
    pub cuts: u64,
    /// From the death of a leader alone to the acknowledgement of a write asked for after it.
    pub failovers: Vec<Duration>,
    /// The largest resident set of a daemon, in KiB.
    pub rss_kib: u64,
}

/// The one who does it.
#[derive(Debug)]
pub struct Nemesis {
    hosts: Vec<Host>,
    nodes: Vec<Node>,
    /// Which node identifier is whose.
    places: BTreeMap<String, usize>,
    runtime: Handle,
    recorder: Recorder,
    /// So far.
    pub figures: Figures,
}

impl Nemesis {
    /// One for these managers, all of which run.
    ///
    /// # Errors
    /// When one of them does not say who it is.
    pub fn new(hosts: &[Host], runtime: &Handle, recorder: &Recorder) -> anyhow::Result<Nemesis> {
        let _in_runtime = runtime.enter();
        let nodes: Vec<Node> = hosts
            .iter()
            .map(|host| Node::with_patience(&host.socket(), INFO))
            .collect();
        let mut nemesis = Nemesis {
            hosts: hosts.to_vec(),
            nodes,
            places: BTreeMap::new(),
            runtime: runtime.clone(),
            recorder: recorder.clone(),
            figures: Figures::default(),
        };
        for place in 0..hosts.len() {
            let id = nemesis.wait("a daemon's name", || {
                let info = nemesis.runtime.block_on(nemesis.nodes[place].info()).ok()?;
                (!info.node_id.is_empty()).then_some(info.node_id)
            })?;
            nemesis.places.insert(id, place);
        }
        Ok(nemesis)
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            self.check_alive()?;
            ensure!(
                start.elapsed() < PROGRESS,
                "{what}: not within {PROGRESS:?}"
            );
            std::thread::sleep(LOOK);
        }
    }

    /// The place of the leader, as most managers see it.
    pub fn leader(&self) -> Option<usize> {
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for node in &self.nodes {
            let Ok(info) = self.runtime.block_on(node.info()) else {
                continue;
            };
            if let Some(place) = self.places.get(&info.leader_node_id) {
                *votes.entry(*place).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(place, _)| place)
    }

    /// The place of the leader, as soon as there is one.
    ///
    /// # Errors
    /// When nobody leads for a long time.
    pub fn wait_leader(&self) -> anyhow::Result<usize> {
        self.wait("a leader", || self.leader())
    }

    /// Does a step, undoes it, and waits for what follows it.
    ///
    /// # Errors
    /// When a daemon ended by itself, when the cluster makes no progress afterwards, or when the
    /// fault itself cannot be made.
    pub fn apply(&mut self, step: &Step) -> anyhow::Result<()> {
        self.check_alive()?;
        self.measure();
        let leader = self.leader();
        let victims = step.resolve(leader, self.hosts.len());
        self.figures.steps += 1;
        let began = self.recorder.now();
        self.recorder.mark(began);
        match step.fault {
            Fault::Kill => self.kill(&victims, leader, step)?,
            Fault::Stop => self.stop(&victims, step.outage)?,
            Fault::Cut(direction) => self.cut(&victims, direction, step.outage)?,
        }
        match step.settle {
            Settle::Blind(pause) => std::thread::sleep(pause),
            Settle::Write(pause) => {
                let first = self
                    .wait("a write after the fault", || {
                        self.recorder.first_after_mark()
                    })
                    .with_context(|| format!("step {}: {step}", self.figures.steps))?;
                let led = leader.is_some() && victims == leader.into_iter().collect::<Vec<_>>();
                if led && step.fault == Fault::Kill {
                    self.figures.failovers.push(first);
                }
                std::thread::sleep(pause);
            }
        }
        Ok(())
    }

    fn kill(
        &mut self,
        victims: &[usize],
        leader: Option<usize>,
        step: &Step,
    ) -> anyhow::Result<()> {
        for &place in victims {
            if let DaemonState::Running(id) = self.hosts[place].daemon() {
                id.signal(Signal::SIGKILL)?;
                self.figures.kills += 1;
                self.figures.leaders += u64::from(Some(place) == leader);
            }
        }
        self.figures.blackouts += u64::from(victims.len() == self.hosts.len());
        for &place in victims {
            self.hosts[place].kill_daemon()?;
        }
        std::thread::sleep(step.outage);
        for (nth, &place) in victims.iter().enumerate() {
            if nth > 0 {
                std::thread::sleep(step.stagger);
            }
            self.hosts[place].start_daemon()?;
        }
        Ok(())
    }

    /// Kills the leader, waits for the next write, and brings the dead one back until it answers
    /// like the others. Returns the time from the signal to the acknowledgement of a write that
    /// was asked for after it.
    ///
    /// # Errors
    /// When nobody leads, when no write succeeds, or when the dead one does not come back.
    pub fn depose(&mut self) -> anyhow::Result<Duration> {
        self.check_alive()?;
        let leader = self.wait_leader()?;
        let host = self.hosts[leader].clone();
        self.recorder.mark(self.recorder.now());
        if let DaemonState::Running(id) = host.daemon() {
            id.signal(Signal::SIGKILL)?;
            self.figures.kills += 1;
        }
        let begun = Instant::now();
        let first = loop {
            match self.recorder.first_after_mark() {
                Some(first) => break first,
                None => ensure!(
                    begun.elapsed() < PROGRESS,
                    "no write after a leader's death"
                ),
            }
            std::thread::sleep(LOOK);
        };
        host.kill_daemon()?;
        host.start_daemon()?;
        self.wait("an answer of the manager that was dead", || {
            self.runtime.block_on(self.nodes[leader].all()).ok()
        })?;
        Ok(first)
    }

    fn stop(&mut self, victims: &[usize], outage: Duration) -> anyhow::Result<()> {
        self.signal(victims, Signal::SIGSTOP)?;
        self.figures.stops += victims.len() as u64;
        std::thread::sleep(outage);
        self.signal(victims, Signal::SIGCONT)
    }

    fn signal(&self, victims: &[usize], signal: Signal) -> anyhow::Result<()> {
        for &place in victims {
            if let DaemonState::Running(id) = self.hosts[place].daemon() {
                id.signal(signal)?;
            }
        }
        Ok(())
    }

    fn cut(
        &mut self,
        victims: &[usize],
        direction: Direction,
        outage: Duration,
    ) -> anyhow::Result<()> {
        for &place in victims {
            self.isolate(place, direction)?;
        }
        self.figures.cuts += victims.len() as u64;
        std::thread::sleep(outage);
        for &place in victims {
            self.join_again(place)?;
        }
        Ok(())
    }

    /// Drops what a manager and the others send each other, as far as `direction` says.
    ///
    /// # Errors
    /// When the rules cannot be made.
    pub fn isolate(&self, place: usize, direction: Direction) -> anyhow::Result<()> {
        let others = self.hosts.iter().enumerate().filter(|(n, _)| *n != place);
        let addrs: Vec<String> = others.map(|(_, host)| host.addr().to_string()).collect();
        let addrs = addrs.join(", ");
        let input = format!(
            "chain in {{ type filter hook input priority -300; ip saddr {{ {addrs} }} drop; }}; "
        );
        let output = format!(
            "chain out {{ type filter hook output priority -300; ip daddr {{ {addrs} }} drop; }}; "
        );
        let chains = match direction {
            Direction::Both => input + &output,
            Direction::Deaf => input,
            Direction::Mute => output,
        };
        let rules = format!("table ip {TABLE} {{ {chains} }}");
        self.nft(place, &[&rules])
    }

    /// Lets a manager that was cut off be heard and hear again.
    ///
    /// # Errors
    /// When the rules cannot be removed.
    pub fn join_again(&self, place: usize) -> anyhow::Result<()> {
        self.nft(place, &["delete", "table", "ip", TABLE])
    }

    fn nft(&self, place: usize, words: &[&str]) -> anyhow::Result<()> {
        let all: Vec<&str> = std::iter::once("nft")
            .chain(words.iter().copied())
            .collect();
        let output = self.hosts[place].sh(&all)?;
        ensure!(output.success(), "{all:?}: {}", output.said());
        Ok(())
    }

    /// A daemon that nobody killed must not end.
    fn check_alive(&self) -> anyhow::Result<()> {
        for host in &self.hosts {
            match host.daemon() {
                DaemonState::Running(_) => {}
                DaemonState::Absent | DaemonState::Ended(_) => {
                    bail!("a daemon ended by itself:\n{}", host.log_tail())
                }
            }
        }
        Ok(())
    }

    /// Notes how much memory the daemons have.
    fn measure(&mut self) {
        for host in &self.hosts {
            if let DaemonState::Running(id) = host.daemon() {
                let rss = resident_kib(id.pid).unwrap_or(0);
                self.figures.rss_kib = self.figures.rss_kib.max(rss);
            }
        }
    }
}

/// Resident memory of a process.
fn resident_kib(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
