#![forbid(unsafe_code)]
//! The weft binary.

#[allow(
    dead_code,
    reason = "started by the command line, which is built beside this room"
)]
mod whoami;

fn main() {}
