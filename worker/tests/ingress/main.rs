//! The routing mesh with real packets: three hosts and a client outside on one wire, tasks behind
//! the hosts, all in network namespaces.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod answers;
mod life;
mod paths;
mod people;
mod walls;
mod world;
