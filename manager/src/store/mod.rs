//! The replicated state: typed tables that change only by commands, in log order.
//!
//! Everything here is deterministic: no clock, no randomness, no hash order. Readers hold a [`View`],
//! a consistent state at one revision, which costs nothing to take and never blocks a writer.

mod apply;
mod audit;
mod claim;
mod hash;
mod history;
mod item;
mod state;
mod watch;

#[cfg(test)]
mod tests;

pub use apply::Applied;
pub use apply::Step;
pub use apply::apply;
pub use audit::AUDIT_RECORDS;
pub use claim::Claim;
pub use history::ChangeSet;
pub use history::Delta;
pub use history::Lagged;
pub use item::Item;
pub use state::State;
pub use watch::Store;

/// A consistent state at one revision, shared by whoever reads it.
pub type View = std::sync::Arc<State>;
