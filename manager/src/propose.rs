//! How a decision becomes state.

#[cfg(test)]
pub(crate) mod fake;
pub mod retry;

use crate::store::View;
use std::future::Future;
use std::pin::Pin;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Conflict;

/// A boxed future, so that [`Proposer`] can be handed in as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a transaction did not become state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Refused by what is in the state. Read again, decide again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// There is no leader, or it cannot be reached, for as long as was waited. Nothing was lost: the
    /// transaction may or may not become state.
    #[error("no leader answers ({0}): most managers must be up and reach each other")]
    NoLeader(String),
    /// The transaction is larger than a log entry may be.
    #[error("the request is too large for the log: {0}")]
    TooLarge(String),
    /// This manager is going down.
    #[error("this manager is stopping")]
    Stopping,
}

/// Where transactions go. Works on every manager: one that does not lead hands them to the leader.
pub trait Proposer: Send + Sync {
    /// Makes the changes, all or none of them. On return they are durable on a majority and the
    /// local state has them: the revision is that of the change.
    fn propose(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<u64, ProposeError>>;

    /// As [`Proposer::propose`], under an identifier of the caller's: of the transactions of one
    /// identifier at most one is made, and the others are answered as that one was. A refused one
    /// does not count.
    fn propose_as(
        &self,
        id: CommandId,
        changes: Vec<Change>,
    ) -> BoxFuture<'_, Result<u64, ProposeError>>;

    /// The state as it is here, which may be old.
    fn local_view(&self) -> View;

    /// A state that has everything acknowledged before the call, by whichever manager.
    fn fresh_view(&self) -> BoxFuture<'_, Result<View, ProposeError>>;
}
