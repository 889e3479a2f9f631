//! `weft-sim SEEDS [FIRST]`: runs so many seeds and says which fail. One seed is run with all that
//! the managers log, when `WEFT_SIM_LOG` or a third argument says at which level.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;
use weft_sim::Plan;
use weft_sim::Report;
use weft_sim::simulate;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| {
        arguments
            .get(place)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (seeds, first) = (number(0).unwrap_or(100), number(1).unwrap_or(0));
    if let Some(level) = arguments.get(2) {
        let filter = tracing_subscriber::EnvFilter::new(level);
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    }
    let mut failed = 0;
    for seed in first..first + seeds {
        let begun = Instant::now();
        match simulate(Plan::of(seed)) {
            Ok(report) => {
                failed += u64::from(!report.violations.is_empty());
                print(seed, &report, begun.elapsed());
            }
            Err(error) => {
                eprintln!("seed {seed}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{seeds} seeds, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(seed: u64, report: &Report, took: Duration) {
    println!(
        "seed {seed}: {} ops {:?} calls {:?} applied {} packets {:?} ran {} term {} converged {:?} lasted {:?} took {took:?} print {:x}",
        if report.violations.is_empty() {
            "ok"
        } else {
            "FAILED"
        },
        report.operations,
        report.calls,
        report.applied,
        report.packets,
        report.ran,
        report.term,
        report.converged,
        report.lasted,
        report.fingerprint,
    );
    if !report.violations.is_empty() {
        for line in &report.log {
            println!("  {line}");
        }
        for violation in &report.violations {
            println!("  violation: {violation}");
        }
        println!("  repeat it with: make sim SEED={seed} SEEDS=1");
    }
}
