//! Between the log and the state: commands become entries, entries become state, on whichever
//! manager the request came in.
//!
//! # Writes
//!
//! Commands that come while others are under way are gathered into one log entry: on a manager that
//! does not lead into one message to the leader, on the leader into one entry, which is synced,
//! sent and published once for all of them. A command that finds the road free goes at once.
//!
//! Each command of an entry is applied or refused by itself, in order, and has a revision of its
//! own: the next number, or the entry's index if that is greater. So versions of objects are as
//! exact as with one command per entry: two writes of one object in one entry have two versions, and
//! whoever read or made the first cannot overwrite the second unseen. Readers and control loops see
//! the state before an entry or after it; watchers are told each revision by itself. As long as
//! entries hold one command each, revision and index are the same number, which keeps states of
//! earlier releases valid.
//!
//! The way back from an unknown outcome is the command's identifier: applied twice, it counts once.
//!
//! # Reads
//!
//! A linearizable read asks the leader for an index, the leader has a majority confirm that it still
//! leads, and the state here is shown once it has that index. One confirmation serves all reads that
//! came before it began, here and on the leader, so that its cost does not grow with the readers.
//!
//! Reads on the leader's lease would spare the confirmation, and are not used: a lease trusts that
//! clocks of different machines advance alike, and a virtual machine that was suspended within its
//! lease would show an old state as new. With shared confirmations there is little left to spare.
//! A leader that no majority answers refuses each read within one lease.

mod attempt;
mod dialer;
mod gather;
mod links;
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
pub use settings::settings;
