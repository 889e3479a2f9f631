//! P4: linearizable reads a second: one small object, with everything acknowledged before.
//!
//! Ours is `ListServices` with the identifier of the client's service, etcd's a `Range` of its key
//! that is not serializable. Clients are spread over all members on both sides.

use crate::duel::Duel;
use crate::duel::ETCD;
use crate::duel::How;
use crate::load::Ask;
use crate::load::Seen;
use crate::options::Options;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;

/// All clients as fast as they are answered.
pub(crate) async fn run(options: &Options, duel: &Duel, report: &mut Report) -> anyhow::Result<()> {
    let clients = options.clients;
    let how = How::Closed(Ask::Read);
    let turns = duel.turns(options.rounds, clients, how).await?;
    let (ours, theirs) = turns.each(Seen::rate);
    let what = format!("linearizable reads/s, 3 members, {clients} clients");
    let finding = Finding::new("P4", what, "/s", Better::More, ours);
    report.add(finding.beside(ETCD, theirs).goal(3.0, 10.0));
    let (ours, theirs) = turns.each(|seen| seen.wait(0.99));
    let what = format!("the same: wait p99, {clients} clients");
    report.add(Finding::new("P4", what, "ms", Better::Less, ours).beside(ETCD, theirs));
    let (cost, etcd_cost) = turns.each(Seen::cost);
    let what = format!("the same: processor time of all members for one, {clients} clients");
    report.add(Finding::new("P4", what, "us", Better::Less, cost).beside(ETCD, etcd_cost));
    Ok(())
}
