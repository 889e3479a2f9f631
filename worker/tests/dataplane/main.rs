//! The data plane with real packets, between two nodes made of namespaces.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod change;
mod lifetime;
mod resolver;
mod separation;
mod traffic;
mod vip;
mod world;
