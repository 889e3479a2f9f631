//! (crate doc to come)
#![forbid(unsafe_code)]

pub mod dns;
