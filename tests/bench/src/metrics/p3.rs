//! P3: how long the slowest changes take when both sides are asked for equally many.
//!
//! Clients ask at even distances, whether or not earlier ones were answered; an answer's time counts
//! from when it was due.

use crate::duel::Duel;
use crate::duel::ETCD;
use crate::duel::How;
use crate::load::Ask;
use crate::metrics::p1::Rates;
use crate::options::Options;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;

/// Half of what the slower side can do: at that rate no queue grows by itself.
const SHARE: f64 = 0.5;

/// At a rate that both sides hold.
pub(crate) async fn run(
    options: &Options,
    duel: &Duel,
    rates: Rates,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rate = (rates.weft.min(rates.etcd) * SHARE).max(1.0);
    let how = How::Paced(Ask::Write, rate);
    let turns = duel.turns(options.rounds, options.clients, how).await?;
    for (name, q, goal) in [("p99", 0.99, true), ("p50", 0.5, false)] {
        let (ours, theirs) = turns.each(|seen| seen.wait(q));
        let what = format!("{name} commit at {rate:.0} changes/s on both sides");
        let finding = Finding::new("P3", what, "ms", Better::Less, ours).beside(ETCD, theirs);
        report.add(if goal {
            finding.goal(0.5, 0.25)
        } else {
            finding
        });
    }
    Ok(())
}
