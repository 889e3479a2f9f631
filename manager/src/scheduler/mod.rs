//! Which node runs a task.

mod filter;
mod node_info;
mod plan;

#[cfg(test)]
mod tests;

pub use plan::plan;
