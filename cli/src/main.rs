//! `weft`: the daemon, and the commands that talk to it.
#![forbid(unsafe_code)]

mod client;
mod command;
mod config;
mod contexts;
mod daemon;
mod render;
mod whoami;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: both become processes of a task, and must be of a single thread then.
    if let Some(args) = config::task_process() {
        return weft_worker::runtime::shim::main(args, command::wall_clock);
    }
    let cli = config::parse();
    match command::run(cli) {
        Ok(code) => code,
        Err(error) => command::report(&error),
    }
}
