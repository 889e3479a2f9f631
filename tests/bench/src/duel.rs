//! Weft and etcd side by side on one machine, taking turns.

use crate::load::Ask;
use crate::load::Seen;
use crate::load::closed;
use crate::load::paced;
use crate::options::Options;
use crate::peers::Etcd;
use crate::peers::Group;
use crate::peers::Swarm;
use crate::peers::Weft;
use crate::peers::cpu;
use crate::peers::object_size;
use crate::stats::interleaved;
use crate::yardstick;
use crate::yardstick::Yardstick;
use anyhow::Context;
use anyhow::ensure;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::sleep;
use weft_rig::Rig;
use weft_rig::layout::Layout;
use weft_rig::process::ProcessId;
use weft_rig::state::RigState;
use weft_rig::subnet;

/// Counts the rigs of this process, so that their names differ.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// How the peer is called in the table.
pub(crate) const ETCD: &str = "etcd 3.4";

/// And the other one.
pub(crate) const SWARM: &str = "swarm 20.10";

/// A rig whose members keep their state below `disk`. Removed when dropped.
pub(crate) fn rig(options: &Options) -> anyhow::Result<Rig> {
    weft_rig::teardown::sweep()?;
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    let tag = format!("rig-bench-{}-{count}", std::process::id());
    let mut layout = Layout::test(&tag);
    // Not where the rest is: that may be memory, on which a sync costs nothing.
    layout.state = options.disk.join(format!("weft-{tag}"));
    Ok(Rig::build(RigState {
        layout,
        creator: ProcessId::current(),
        subnet: subnet::DEFAULT,
        uplink: false,
        weft: weft_binary(options)?,
        hosts: Vec::new(),
    })?)
}

fn weft_binary(options: &Options) -> anyhow::Result<PathBuf> {
    let beside = || {
        let me = std::env::current_exe().ok()?;
        Some(me.parent()?.join("weft"))
    };
    let weft = options.weft.clone().or_else(beside);
    let weft = weft.context("where this program is")?;
    ensure!(
        weft.exists(),
        "{} is not built: run cargo build --bin weft, with the same profile as this program",
        weft.display()
    );
    Ok(weft.canonicalize()?)
}

/// How the clients of one turn ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// Each as fast as it is answered.
    Closed(Ask),
    /// So many a second, all clients together.
    Paced(Ask, f64),
}

/// What both sides showed, round by round, and what the machine could do beside each round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    /// Ours.
    pub(crate) weft: Vec<Seen>,
    /// The peer's; empty without peers.
    pub(crate) etcd: Vec<Seen>,
    /// Before each round.
    pub(crate) yardsticks: Vec<Yardstick>,
}

impl Turns {
    /// One value for each of our rounds, and one for each of the peer's.
    pub(crate) fn each(&self, of: impl Fn(&Seen) -> f64) -> (Vec<f64>, Vec<f64>) {
        let all = |turns: &[Seen]| turns.iter().map(&of).collect();
        (all(&self.weft), all(&self.etcd))
    }
}

/// Three members of each.
pub(crate) struct Duel {
    /// Ours.
    pub(crate) weft: Weft,
    /// The peer.
    pub(crate) etcd: Option<Etcd>,
    disk: PathBuf,
    warm: Duration,
    time: Duration,
    rig: Rig,
}

impl Duel {
    /// Both groups, fresh and settled.
    pub(crate) async fn start(options: &Options) -> anyhow::Result<Duel> {
        let rig = block_in_place(|| rig(options))?;
        let weft = block_in_place(|| Weft::start(&rig, 3)).context("start Weft")?;
        let etcd = if options.no_peers {
            None
        } else {
            let started = Etcd::start(&rig, 3, object_size()).await;
            Some(started.context("start etcd")?)
        };
        let time = options.time();
        Ok(Duel {
            weft,
            etcd,
            disk: rig.layout().state,
            warm: time / 5,
            time,
            rig,
        })
    }

    /// A fresh swarm beside the others, or why there is none.
    pub(crate) async fn swarm(&self) -> anyhow::Result<Swarm> {
        Swarm::start(&self.rig, 3, object_size()).await
    }

    /// Weft and a swarm in turn, as [`Duel::turns`] does it with etcd.
    pub(crate) async fn turns_with_swarm(
        &self,
        swarm: &Swarm,
        rounds: usize,
        clients: usize,
    ) -> anyhow::Result<(Vec<Seen>, Vec<Seen>)> {
        let mut ours = self
            .weft
            .clients(clients)
            .await
            .context("clients of Weft")?;
        let mut theirs = swarm
            .clients(clients)
            .await
            .context("clients of the swarm")?;
        let how = How::Closed(Ask::Write);
        let (mut weft, mut other) = (Vec::new(), Vec::new());
        for our_turn in interleaved(rounds) {
            if our_turn {
                let seen = self.turn(&self.weft.pids()?, &mut ours, how).await?;
                weft.push(seen.checked("Weft")?);
            } else {
                let seen = self.turn(&[], &mut theirs, how).await?;
                other.push(seen.checked("the swarm")?);
            }
        }
        Ok((weft, other))
    }

    /// Both sides in turn, `rounds` times each, with so many clients.
    pub(crate) async fn turns(
        &self,
        rounds: usize,
        clients: usize,
        how: How,
    ) -> anyhow::Result<Turns> {
        let mut ours = self
            .weft
            .clients(clients)
            .await
            .context("clients of Weft")?;
        let mut theirs = match &self.etcd {
            Some(etcd) => etcd.clients(clients).await.context("clients of etcd")?,
            None => Vec::new(),
        };
        let mut turns = Turns::default();
        for (index, our_turn) in interleaved(rounds).enumerate() {
            if index % 2 == 0 {
                let found = block_in_place(|| yardstick::measure(&self.disk))?;
                turns.yardsticks.push(found);
            }
            if our_turn {
                let seen = self.turn(&self.weft.pids()?, &mut ours, how).await?;
                turns.weft.push(seen.checked("Weft")?);
            } else if let Some(etcd) = &self.etcd {
                let seen = self.turn(&etcd.pids()?, &mut theirs, how).await?;
                turns.etcd.push(seen.checked("etcd")?);
            }
        }
        Ok(turns)
    }

    /// One turn of one side, whose members are these processes.
    async fn turn<C: crate::load::Client>(
        &self,
        pids: &[i32],
        clients: &mut Vec<C>,
        how: How,
    ) -> anyhow::Result<Seen> {
        let warm = match how {
            How::Closed(_) => self.warm,
            How::Paced(..) => Duration::ZERO,
        };
        let asked = async {
            match how {
                How::Closed(ask) => closed(clients, ask, self.warm, self.time).await,
                How::Paced(ask, rate) => paced(clients, ask, rate, self.time).await,
            }
        };
        let (mut seen, cpu) = tokio::join!(asked, used(pids, warm, self.time));
        seen.cpu = cpu?;
        Ok(seen)
    }
}

/// Processor time that these processes use within `time`, after `warm`.
async fn used(pids: &[i32], warm: Duration, time: Duration) -> anyhow::Result<Duration> {
    let all = || -> anyhow::Result<Duration> { pids.iter().map(|pid| cpu(*pid)).sum() };
    sleep(warm).await;
    let before = all()?;
    sleep(time).await;
    Ok(all()?.saturating_sub(before))
}
