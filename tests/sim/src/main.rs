//! `weft-sim SEEDS [FIRST [LOG]]`: runs so many seeds, on all processors, and says which fail and
//! how to repeat them. With a third argument (`info`, `debug`, `weft_raft=trace`) what the managers
//! log goes to stderr; then one seed at a time makes sense.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use weft_sim::Plan;
use weft_sim::Tally;
use weft_sim::simulate;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| {
        let text = arguments.get(place)?;
        text.parse::<u64>().ok()
    };
    let (seeds, first) = (number(0).unwrap_or(200), number(1).unwrap_or(1));
    if let Some(level) = arguments.get(2) {
        let filter = tracing_subscriber::EnvFilter::new(level);
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, tally) = (AtomicU64::new(first), Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run(&next, first.saturating_add(seeds), &tally));
        }
    });
    println!("{tally}");
    if tally.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(next: &AtomicU64, end: u64, tally: &Tally) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        match simulate(Plan::of(seed)) {
            Ok(report) => {
                println!("{}", report.line(seed));
                tally.add(&report);
            }
            Err(error) => println!("seed {seed} could not be run: {error}"),
        }
    }
}
