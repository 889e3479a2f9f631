//! Whether a leader keeps its office while nothing happens but work.

use crate::dice::Dice;
use crate::load::Load;
use crate::load::LoadOptions;
use crate::record::Recorder;
use anyhow::Context;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use tokio::runtime::Runtime;
use weft_rig::Host;
use weft_tests::Cluster;

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_millis(200);

/// What happened in a time without faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calm {
    /// Leaders elected after the first.
    pub elections: usize,
    /// How often a member asked the others whether they would elect it.
    pub doubts: usize,
    /// How often a leader stopped its work for want of a majority's word, without losing office.
    pub pauses: usize,
    /// Writes acknowledged.
    pub written: u64,
    /// Threads that did nothing but spin.
    pub spinning: usize,
}

/// Lets clients write for so long while every core is busy with something else, twice over, or
/// with as many threads as are asked for.
///
/// # Errors
/// When the cluster cannot be built.
pub fn calm(
    seed: u64,
    managers: usize,
    time: Duration,
    spinning: Option<usize>,
) -> anyhow::Result<Calm> {
    let cluster = Cluster::start("calm", managers, 0)?;
    let recorder = Recorder::default();
    let runtime = Runtime::new().context("a runtime for the clients")?;
    let sockets: Vec<PathBuf> = cluster.managers.iter().map(Host::socket).collect();
    let load = LoadOptions {
        clients: 3,
        keys: 8,
        pause: 20,
        reads: 40,
    };
    let dice = Dice::new(seed);
    let load = Load::start(&sockets, load, &dice, &recorder);
    let load = runtime.block_on(load)?;
    let before = Noise::of(&cluster.managers);
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let spinning = spinning.unwrap_or_else(|| cores() * 2);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..spinning {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < time {
            std::thread::sleep(LOOK);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let after = Noise::of(&cluster.managers);
    runtime.block_on(load.stop());
    cluster.down()?;
    Ok(Calm {
        elections: after.elected - before.elected,
        doubts: after.asked - before.asked,
        pauses: (after.led - before.led) - (after.elected - before.elected),
        written: recorder.acknowledged(),
        spinning,
    })
}

/// What daemons wrote to their logs about elections.
struct Noise {
    elected: usize,
    asked: usize,
    led: usize,
}

impl Noise {
    fn of(hosts: &[Host]) -> Noise {
        let logs: Vec<String> = hosts.iter().map(Host::log).collect();
        let count = |words: &str| -> usize {
            let lines = logs.iter().flat_map(|log| log.lines());
            lines.filter(|line| line.contains(words)).count()
        };
        let terms: std::collections::BTreeSet<&str> = logs
            .iter()
            .flat_map(|log| log.lines())
            .filter(|line| line.contains("this manager leads term="))
            .filter_map(|line| line.rsplit("term=").next())
            .collect();
        Noise {
            elected: terms.len(),
            asked: count("new pre-candidate") + count("new candidate"),
            led: count("this manager leads term="),
        }
    }
}
