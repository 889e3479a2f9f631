//! Between the log and the state: commands become entries, entries become state, on whichever
//! manager the request came in.

mod dialer;
mod machine;
mod proposer;

pub use dialer::ManagerDialer;
pub use machine::StoreMachine;
pub use proposer::ClusterProposer;
pub(crate) use proposer::propose_here;
