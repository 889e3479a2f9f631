//! Soaks a cluster in faults: `make chaos`.
#![forbid(unsafe_code)]

use clap::Parser;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use weft_chaos::load::LoadOptions;
use weft_chaos::plan::Family;
use weft_chaos::report::spread;
use weft_chaos::run::Options;
use weft_chaos::run::run;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    /// Faults of a seed, and the judgement
    Faults,
    /// Deaths of the leader, and the time to the next write after each
    Failover,
    /// The history of an earlier run, judged once more
    Judge,
    /// Minutes without a fault on busy cores, and how many elections they had
    Calm,
}

/// Kills, stops and cuts off managers of a real cluster under load, and judges what its clients
/// were told.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to do
    #[arg(value_enum, default_value = "faults")]
    mode: Mode,
    /// Where the history to be judged is
    #[arg(long)]
    history: Option<PathBuf>,
    /// All chance comes from it; left out: another one each time
    #[arg(long)]
    seed: Option<u64>,
    /// So many faults
    #[arg(long, default_value_t = 1000)]
    kills: u64,
    /// No new fault after this time
    #[arg(long)]
    minutes: Option<u64>,
    /// Managers of the cluster
    #[arg(long, default_value_t = 3)]
    managers: usize,
    /// Kinds of faults
    #[arg(long, value_delimiter = ',', default_value = "kill")]
    faults: Vec<Family>,
    /// Clients of each manager
    #[arg(long, default_value_t = 3)]
    clients: usize,
    /// Threads that keep cores busy in calm [default: two for each core]
    #[arg(long)]
    spinning: Option<usize>,
    /// Registers
    #[arg(long, default_value_t = 24)]
    keys: u32,
}

fn main() -> ExitCode {
    let asked = Arguments::parse();
    let done = match asked.mode {
        Mode::Faults => faults(asked),
        Mode::Failover => failover(&asked),
        Mode::Calm => calm(&asked),
        Mode::Judge => judge(&asked),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn seed(&self) -> u64 {
        let other = || RandomState::new().hash_one("seed") >> 32;
        self.seed.unwrap_or_else(other)
    }
}

fn faults(asked: Arguments) -> anyhow::Result<()> {
    let options = Options {
        name: "chaos".to_owned(),
        seed: asked.seed(),
        managers: asked.managers,
        faults: asked.kills,
        limit: asked
            .minutes
            .map(|minutes| Duration::from_secs(minutes * 60)),
        families: asked.faults,
        load: LoadOptions {
            clients: asked.clients,
            keys: asked.keys,
            pause: 20,
            reads: 40,
        },
        progress: Some(Duration::from_secs(15)),
    };
    println!("{}", options.command());
    println!("{}", run(&options)?);
    Ok(())
}

fn failover(asked: &Arguments) -> anyhow::Result<()> {
    let times = weft_chaos::failover::failover(asked.seed(), asked.managers, asked.kills)?;
    println!("leader killed to next write, {}", spread(&times));
    Ok(())
}

fn judge(asked: &Arguments) -> anyhow::Result<()> {
    let path = asked.history.as_deref();
    let path = path.ok_or_else(|| anyhow::anyhow!("which one? Say --history FILE"))?;
    let count = weft_chaos::run::judge_file(path)?;
    println!("no acknowledged write is lost, and the history of {count} calls is linearizable");
    Ok(())
}

fn calm(asked: &Arguments) -> anyhow::Result<()> {
    let time = Duration::from_secs(asked.minutes.unwrap_or(10) * 60);
    let calm = weft_chaos::calm::calm(asked.seed(), asked.managers, time, asked.spinning)?;
    println!(
        "{} s with {} spinning threads and {} writes: {} elections, {} doubts of the leader, {} \
         pauses of its work",
        time.as_secs(),
        calm.spinning,
        calm.written,
        calm.elections,
        calm.doubts,
        calm.pauses
    );
    anyhow::ensure!(calm.elections == 0, "the leader changed without need");
    Ok(())
}
