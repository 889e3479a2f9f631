//! P2: how long one client waits for one change, beside what the disk alone takes.

use crate::duel::Duel;
use crate::duel::ETCD;
use crate::duel::How;
use crate::load::Ask;
use crate::load::Seen;
use crate::options::Options;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;

/// One client, connected to the leader.
pub(crate) async fn run(options: &Options, duel: &Duel, report: &mut Report) -> anyhow::Result<()> {
    let how = How::Closed(Ask::Write);
    let turns = duel.turns(options.rounds, 1, how).await?;
    let (ours, theirs) = turns.each(|seen| seen.wait(0.5));
    let syncs: Vec<f64> = turns.yardsticks.iter().map(|y| y.sync_p50).collect();
    let finding = Finding::new(
        "P2",
        "one client, commit p50",
        "ms",
        Better::Less,
        ours.clone(),
    );
    report.add(
        finding
            .beside("raw fdatasync p50", syncs.clone())
            .goal(2.0, 1.3),
    );
    let finding = Finding::new("P2", "one client, commit p50", "ms", Better::Less, ours);
    report.add(finding.beside(ETCD, theirs));
    let (ours, theirs) = turns.each(|seen| seen.wait(0.99));
    let finding = Finding::new("P2", "one client, commit p99", "ms", Better::Less, ours);
    report.add(finding.beside(ETCD, theirs));
    let (cost, etcd_cost) = turns.each(Seen::cost);
    let what = "one client, processor time of all members for one";
    report.add(Finding::new("P2", what, "us", Better::Less, cost).beside(ETCD, etcd_cost));
    Ok(())
}
