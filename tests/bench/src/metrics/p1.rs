//! P1: durable committed changes a second, many clients, three managers; and how that grows with
//! the number of clients.
//!
//! A change is the lightest one a person can make: another value for a label of a service without
//! tasks, by `UpdateService`. Each client has its own service and its own connection, and waits for
//! each answer. etcd's clients put a value as large as the service's record under a key of theirs.

use crate::duel::Duel;
use crate::duel::ETCD;
use crate::duel::How;
use crate::duel::SWARM;
use crate::load::Ask;
use crate::load::Seen;
use crate::options::Options;
use crate::peers::memory;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;
use crate::stats::growth;
use crate::stats::median;
use crate::stats::to_f64;

/// What both sides did with all clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Our changes a second.
    pub(crate) weft: f64,
    /// The peer's; ours again without one.
    pub(crate) etcd: f64,
}

/// Measures; returns the rates, from which other metrics take theirs.
pub(crate) async fn run(
    options: &Options,
    duel: &Duel,
    report: &mut Report,
) -> anyhow::Result<Rates> {
    let clients = options.clients;
    let how = How::Closed(Ask::Write);
    let turns = duel.turns(options.rounds, clients, how).await?;
    let (ours, theirs) = turns.each(Seen::rate);
    let what = format!("durable changes/s, 3 members, {clients} clients");
    let finding = Finding::new("P1", what, "/s", Better::More, ours.clone());
    report.add(finding.beside(ETCD, theirs.clone()).goal(2.0, 5.0));
    let (p50, etcd_p50) = turns.each(|seen| seen.wait(0.5));
    let what = format!("the same: wait p50, {clients} clients");
    report.add(Finding::new("P1", what, "ms", Better::Less, p50).beside(ETCD, etcd_p50));
    let (p99, etcd_p99) = turns.each(|seen| seen.wait(0.99));
    let what = format!("the same: wait p99, {clients} clients");
    report.add(Finding::new("P1", what, "ms", Better::Less, p99).beside(ETCD, etcd_p99));
    let (cost, etcd_cost) = turns.each(Seen::cost);
    let what = format!("processor time of all members for one, {clients} clients");
    report.add(Finding::new("P1", what, "us", Better::Less, cost).beside(ETCD, etcd_cost));
    let each =
        |of: fn(&crate::yardstick::Yardstick) -> f64| turns.yardsticks.iter().map(of).collect();
    report.add(Finding::new(
        "disk",
        "raw fdatasync p50",
        "ms",
        Better::Less,
        each(|y| y.sync_p50),
    ));
    report.add(Finding::new(
        "disk",
        "raw fdatasync p99",
        "ms",
        Better::Less,
        each(|y| y.sync_p99),
    ));
    report.add(Finding::new(
        "cpu",
        "AES-128-GCM on one core",
        "GB/s",
        Better::More,
        each(|y| y.aes),
    ));
    if !options.no_peers {
        swarm(options, duel, report).await;
    }
    curve(options, duel, report).await?;
    let weft = median(&ours);
    let etcd = if theirs.is_empty() {
        weft
    } else {
        median(&theirs)
    };
    Ok(Rates { weft, etcd })
}

/// Beside Swarm mode, whose clients create configs of the same size. A machine on which it does not
/// run is no reason to know nothing of the others.
async fn swarm(options: &Options, duel: &Duel, report: &mut Report) {
    let clients = options.clients;
    let measured = async {
        let swarm = duel.swarm().await?;
        let memory = memory(swarm.pid()?)?;
        let rounds = options.rounds.div_ceil(2);
        let turns = duel.turns_with_swarm(&swarm, rounds, clients).await?;
        anyhow::Ok((memory, turns))
    };
    match measured.await {
        Ok((memory, (ours, theirs))) => {
            let rates = |seen: &[Seen]| seen.iter().map(Seen::rate).collect();
            let what = format!("durable changes/s, 3 members, {clients} clients");
            let finding = Finding::new("P1", what, "/s", Better::More, rates(&ours));
            report.add(finding.beside(SWARM, rates(&theirs)).goal(20.0, 100.0));
            report.note(format!(
                "dockerd with an empty swarm has {} MB in memory",
                memory.proportional >> 20
            ));
        }
        Err(error) => report.note(format!("P1: not compared with Swarm mode: {error:#}")),
    }
}

/// The same with growing numbers of clients.
async fn curve(options: &Options, duel: &Duel, report: &mut Report) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for &clients in &options.curve {
        let rounds = options.rounds.div_ceil(5);
        let turns = duel.turns(rounds, clients, How::Closed(Ask::Write)).await?;
        let (cost, etcd_cost) = turns.each(Seen::cost);
        let (weft, etcd) = turns.each(Seen::rate);
        let size = to_f64(clients);
        ours.push((size, median(&weft)));
        theirs.push((size, median(&etcd)));
        let what = format!("durable changes/s, {clients} clients");
        report.add(Finding::new("P1", what, "/s", Better::More, weft).beside(ETCD, etcd));
        let what = format!("processor time of all members for one, {clients} clients");
        report.add(Finding::new("P1", what, "us", Better::Less, cost).beside(ETCD, etcd_cost));
    }
    for (name, points) in [("Weft", ours), (ETCD, theirs)] {
        if let Some(slope) = growth(&points) {
            report.note(format!(
                "P1: changes/s of {name} grow with the number of clients by slope {slope:.2} in \
                 logarithmic scales (1 is proportional)"
            ));
        }
    }
    Ok(())
}
