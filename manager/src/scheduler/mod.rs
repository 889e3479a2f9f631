//! Which node runs a task.
//!
//! `filter` says what keeps a task from a node and `explain` puts that into words; `choose` ranks
//! the nodes that are left; `plan` does so for all tasks that wait, on the picture of the nodes
//! that `index` keeps.

mod attribute;
mod choose;
mod explain;
mod filter;
mod index;
mod message;
mod node_info;
mod plan;

#[cfg(test)]
mod tests;

pub use plan::Placement;
pub use plan::Scheduler;
pub use plan::plan;
