//! Tasks as real processes: needs root, overlayfs, namespaces and control groups.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test a panic is the report, in its helpers too"
)]

mod adoption;
mod files;
mod isolation;
mod lifecycle;
mod limits;
mod logs;
mod servers;
mod support;
