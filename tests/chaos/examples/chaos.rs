//! Soaks a cluster in faults: `make chaos`.
#![forbid(unsafe_code)]

use clap::Parser;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::process::ExitCode;
use std::time::Duration;
use weft_chaos::load::LoadOptions;
use weft_chaos::plan::Family;
use weft_chaos::run::Options;
use weft_chaos::run::run;

/// Kills, stops and cuts off managers of a real cluster under load, and judges what its clients
/// were told.
#[derive(Debug, Parser)]
struct Arguments {
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
    /// Registers
    #[arg(long, default_value_t = 24)]
    keys: u32,
}

fn main() -> ExitCode {
    let asked = Arguments::parse();
    let seed = asked
        .seed
        .unwrap_or_else(|| RandomState::new().hash_one("seed") >> 32);
    let options = Options {
        name: "chaos".to_owned(),
        seed,
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
        },
        progress: Some(Duration::from_secs(15)),
    };
    println!("{}", options.command());
    match run(&options) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}
