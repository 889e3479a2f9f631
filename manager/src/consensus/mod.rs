//! Between the log and the state: commands become entries, entries become state, on whichever
//! manager the request came in.

mod attempt;
mod dialer;
mod gather;
mod local;
mod machine;
mod proposer;
mod rounds;
mod serve;
mod settings;

pub use dialer::ManagerDialer;
pub use machine::StoreMachine;
pub use proposer::ClusterProposer;
pub use proposer::ProposerWork;
pub use settings::key_file;
pub use settings::settings;
