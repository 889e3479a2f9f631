//! A worker: the agent, and the reconcilers that turn its assignments into kernel state.
#![forbid(unsafe_code)]

pub mod agent;
pub mod dataplane;
pub mod db;
pub mod describe;
pub mod desired;
pub mod dns;
pub mod durable;
#[cfg(test)]
mod fixture;
pub mod ingress;
pub mod keys;
pub mod network;
pub mod observed;
pub mod reconciler;
pub mod rules;
pub mod run;
pub mod runtime;
pub mod task;
