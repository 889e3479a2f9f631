//! What the leader does: runs the loops that decide, for as long as it holds office.
//!
//! A loop that outlives its office for a moment does no harm: everything it proposes carries the
//! versions of what it read, and a newer leader's changes make it fail.

mod balance;
mod batch;
mod control;
mod doubles;
mod keys;
mod liveness;
mod membership;
mod office;
mod planner;

pub use balance::Advice;
pub use balance::Balance;
pub use control::ControlLoops;
pub use liveness::Liveness;
pub use membership::ANSWERS_WITHIN;
pub use membership::MembershipStep;
pub use membership::answering;
pub use membership::plan as plan_membership;
pub use planner::Planner;
pub use planner::Round;
