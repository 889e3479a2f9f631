//! A control plane in this process: real logs, states and control loops, and nodes that only say
//! that their tasks run. For sizes that no single machine could host for real.

mod managers;
mod nodes;
mod objects;
mod tally;

pub(crate) use managers::Managers;
pub(crate) use nodes::Nodes;
pub(crate) use objects::service;
pub(crate) use objects::worker;
pub(crate) use tally::Mark;
pub(crate) use tally::Tally;
