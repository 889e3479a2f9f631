//! What one attempt at the leader came to.

use crate::propose::ProposeError;
use weft_raft::ProposeError as RaftError;
use weft_raft::ReadError;

/// What to do after an attempt.
#[derive(Clone, Debug)]
pub(super) enum Attempt<T> {
    Done(T),
    /// Not answered; try again, perhaps elsewhere.
    Again(String),
    Never(ProposeError),
}

/// A command that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    /// Where.
    pub(super) index: u64,
    /// What became of it, encoded.
    pub(super) result: Vec<u8>,
}

impl<T> From<RaftError> for Attempt<T> {
    fn from(error: RaftError) -> Self {
        match error {
            RaftError::TooLarge { .. } => Attempt::Never(ProposeError::TooLarge(error.to_string())),
            RaftError::Stopped | RaftError::Failed { .. } => Attempt::Never(ProposeError::Stopping),
            RaftError::NotLeader { .. } | RaftError::Unknown { .. } => {
                Attempt::Again(error.to_string())
            }
        }
    }
}

impl<T> From<ReadError> for Attempt<T> {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Stopped { .. } => Attempt::Never(ProposeError::Stopping),
            ReadError::NotLeader { .. } | ReadError::NoQuorum => Attempt::Again(error.to_string()),
        }
    }
}
