//! A manager: the replicated state, the loops that decide, and the calls that people and nodes make.
#![forbid(unsafe_code)]

pub mod acting;
pub mod allocator;
pub mod api;
pub mod authz;
pub mod ca;
pub mod consensus;
pub mod departure;
pub mod dispatcher;
pub mod entropy;
pub mod keys;
pub mod leader;
pub mod logs;
pub mod managers;
pub mod material;
pub mod orchestrator;
pub mod peer;
pub mod people;
pub mod propose;
pub mod quorum;
pub mod recovery;
pub mod run;
pub mod scheduler;
mod status;
pub mod store;

#[cfg(test)]
mod fixture;
