//! How long nobody can write after a leader's death.

use crate::dice::Dice;
use crate::load::Load;
use crate::load::LoadOptions;
use crate::nemesis::Nemesis;
use crate::record::Recorder;
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Runtime;
use weft_rig::Host;
use weft_tests::Cluster;

/// Between a recovery and the next death: longer than any lease, so that every death hits a
/// cluster at rest.
const REST: Duration = Duration::from_millis(1500);

/// Kills the leader so many times while clients of all managers write, each time when everything
/// has recovered from the time before. Returns, for each death, the time from the signal to the
/// acknowledgement of a write that was asked for after it.
///
/// # Errors
/// When the cluster cannot be built or does not recover.
pub fn failover(seed: u64, managers: usize, kills: u64) -> anyhow::Result<Vec<Duration>> {
    let cluster = Cluster::start("failover", managers, 0)?;
    let recorder = Recorder::default();
    let runtime = Runtime::new().context("a runtime for the clients")?;
    let sockets: Vec<PathBuf> = cluster.managers.iter().map(Host::socket).collect();
    let load = LoadOptions {
        clients: 3,
        keys: 8,
        pause: 10,
        reads: 0,
    };
    let dice = Dice::new(seed);
    let load = Load::start(&sockets, load, &dice, &recorder);
    let load = runtime.block_on(load)?;
    let mut nemesis = Nemesis::new(&cluster.managers, runtime.handle(), &recorder)?;
    let mut times = Vec::new();
    for _ in 0..kills {
        std::thread::sleep(REST);
        times.push(nemesis.depose()?);
    }
    runtime.block_on(load.stop());
    cluster.down()?;
    Ok(times)
}
