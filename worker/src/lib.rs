//! A worker: the agent, and the reconcilers that turn its assignments into kernel state.
#![forbid(unsafe_code)]

pub mod dataplane;
pub mod desired;
pub mod dns;
pub mod ingress;
