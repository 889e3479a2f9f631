#![forbid(unsafe_code)]
//! The weft binary.
fn main() {}
