//! One file for each metric.

pub(crate) mod grown;
pub(crate) mod p1;
pub(crate) mod p2;
pub(crate) mod p3;
pub(crate) mod p4;
pub(crate) mod p5;
pub(crate) mod p6;
