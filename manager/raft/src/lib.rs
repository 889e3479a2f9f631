//! Consensus between managers: a replicated log of opaque commands.
//!
//! One [`RaftNode`] per manager. The caller gives a [`StateMachine`] and a [`Dialer`], and serves
//! [`RaftNode::service`] on its own listener, behind its own authentication.
//!
//! # What is promised
//! An acknowledged command is on the disks of a majority, synced, and applied on the member that
//! acknowledged it. A damaged directory is refused at start, by the name of the record. A leader that
//! no majority answers stops answering within one lease and stops speaking in turns, so that a
//! successor is elected all the same.
//!
//! The consensus engine (openraft) is an implementation detail: none of its types is visible here.
#![forbid(unsafe_code)]

mod appends;
mod cipher;
mod config;
mod convert;
mod directory;
mod disk;
mod engine;
mod error;
mod fault;
mod file_engine;
mod frame;
mod gate;
mod image;
mod key_file;
mod key_use;
mod layout;
mod legacy;
mod lock;
mod log_store;
pub mod measure;
mod member;
mod membership;
mod migrate;
mod network;
mod node;
mod peers;
mod proposal;
mod records;
mod recovery;
mod replay;
mod seal;
mod segment;
mod server;
mod set_back;
#[cfg(feature = "sim")]
pub mod sim;
mod snapshot;
mod state_machine;
mod status;
mod succession;
mod types;
mod watchdog;
mod writer;

#[cfg(test)]
mod tests;

pub use cipher::DataKey;
pub use cipher::DataKeys;
pub use config::ConfigError;
pub use config::RaftConfig;
pub use config::Timing;
pub use convert::ConvertError;
pub use directory::is_written;
pub use error::BootstrapError;
pub use error::Damage;
pub use error::MembershipError;
pub use error::ProposeError;
pub use error::ReadError;
pub use error::Retry;
pub use error::StartError;
pub use error::WaitError;
pub use key_file::KeyFileError;
pub use key_file::KeySet;
pub use key_file::KeyWrap;
pub use key_file::Plain;
pub use key_use::keys_in_use;
pub use lock::Locked;
pub use member::Member;
pub use member::RaftId;
pub use node::RaftNode;
pub use peers::Dialer;
pub use proposal::Applied;
pub use records::RecordError;
pub use recovery::force_new_cluster;
pub use recovery::found_with_state;
pub use seal::Place;
pub use seal::SealError;
pub use seal::Sealer;
pub use seal::Sealing;
pub use server::RaftService;
pub use state_machine::Capture;
pub use state_machine::RestoreError;
pub use state_machine::StateMachine;
pub use status::Follower;
pub use status::RaftStatus;
