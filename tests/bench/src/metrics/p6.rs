//! P6: the leader is killed; how long until the next change is committed.
//!
//! From the signal on, clients of both other members ask, one every few milliseconds, and ask anew
//! when there was no answer for a second: a member that loses what it was asked for while nobody
//! leads, as etcd's do, must not look as if nobody led any longer than that. The first answer ends
//! the round.

use crate::duel::Duel;
use crate::duel::ETCD;
use crate::load::Ask;
use crate::load::Client;
use crate::options::Options;
use crate::peers::Group;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;
use crate::stats::interleaved;
use crate::stats::quantile_of;
use anyhow::Context;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

/// Clients of each survivor.
const CLIENTS: usize = 32;
/// A client asks anew after this long without an answer; their turns are spread over this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a refusal.
const AGAIN: Duration = Duration::from_millis(10);
/// A group that does not write again within this has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// Kills leaders of both sides in turn.
pub(crate) async fn run(options: &Options, duel: &Duel, report: &mut Report) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for our_turn in interleaved(options.kills()) {
        if our_turn {
            ours.push(round(&duel.weft).await.context("failover of Weft")?);
        } else if let Some(etcd) = &duel.etcd {
            theirs.push(round(etcd).await.context("failover of etcd")?);
        }
    }
    let finding = Finding::new(
        "P6",
        "leader killed, to next commit",
        "ms",
        Better::Less,
        ours.clone(),
    );
    report.add(finding.beside(ETCD, theirs.clone()));
    for (name, q, first, moonshot) in [
        ("p50", 0.5, 1000.0, 300.0),
        ("p99", 0.99, 1000.0, 600.0),
        ("max", 1.0, 1000.0, 600.0),
    ] {
        let value = |waits: &[f64]| vec![quantile_of(waits, q)];
        let what = format!("the same, {name} of {}", ours.len());
        let finding = Finding::new("P6", what, "ms", Better::Less, value(&ours));
        report.add(finding.goal(first, moonshot));
    }
    Ok(())
}

/// One killed leader: milliseconds to the next commit.
async fn round<G: Group>(group: &G) -> anyhow::Result<f64> {
    let leader = group.leader().await?;
    let clients = group.survivors(leader, CLIENTS).await?;
    group.kill(leader)?;
    let start = Instant::now();
    let mut asking = JoinSet::new();
    let step = PATIENCE / u32::try_from(clients.len())?;
    for (number, client) in (0u32..).zip(clients) {
        asking.spawn(until_written(client, step * number));
    }
    let first = timeout(LIMIT, asking.join_next()).await;
    let wait = start.elapsed();
    first.context("nothing was written any more")?;
    asking.shutdown().await;
    group.restart(leader).await?;
    Ok(wait.as_secs_f64() * 1e3)
}

async fn until_written<C: Client>(mut client: C, wait: Duration) {
    sleep(wait).await;
    while !matches!(timeout(PATIENCE, client.ask(Ask::Write)).await, Ok(Ok(()))) {
        sleep(AGAIN).await;
    }
}
