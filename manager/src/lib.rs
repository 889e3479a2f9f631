//! A manager: the replicated state, the loops that decide, and the calls that people and nodes make.
#![forbid(unsafe_code)]

pub mod allocator;
pub mod orchestrator;
pub mod propose;
pub mod scheduler;
pub mod store;

#[cfg(test)]
mod fixture;
