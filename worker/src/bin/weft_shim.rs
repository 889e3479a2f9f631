//! The supervisor of one task as a program of its own; see `weft_worker::runtime::shim`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    weft_worker::runtime::shim::main(std::env::args_os().skip(1), real_now)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the program: here the clock is chosen"
)]
fn real_now() -> SystemTime {
    SystemTime::now()
}
