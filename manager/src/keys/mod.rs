//! Keys of the data plane: when there are new ones, and who is told which. Pure.
//!
//! The state holds a ring of epochs with a key each. Every two nodes that share an encrypted network
//! have a key of their own in each epoch, derived from the epoch's key; a node is told only those of
//! pairs that it is one of. A new epoch is first told to all of them, becomes active when they hold
//! it, and the one before it stays known for those who have not heard of that yet.

mod pairs;
mod plan;

#[cfg(test)]
mod tests;

pub use pairs::Piece;
pub use pairs::Tunnels;
pub use pairs::nodes_on;
pub use plan::DISTRIBUTE_WITHIN;
pub use plan::Heard;
pub use plan::Plan;
pub use plan::RETIRED_FOR;
pub use plan::RETIRED_MOST;
pub use plan::plan;
