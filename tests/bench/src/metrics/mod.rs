//! One file for each metric.

pub(crate) mod p5;
