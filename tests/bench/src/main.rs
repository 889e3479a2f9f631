//! Measures the control plane end to end beside its peers, and writes one table.
//!
//! Every figure is a ratio to a peer or to a physical yardstick measured in the same run, the sides
//! taking turns. `make bench` runs it.
#![forbid(unsafe_code)]

mod duel;
mod load;
mod metrics;
mod options;
mod peers;
mod report;
mod run;
mod simulated;
mod stats;
mod yardstick;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = options::Options::parse().shortened();
    match run::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
