//! Writing to and reading from the log.

use crate::error::ProposeError;
use crate::error::ReadError;
use crate::error::WaitError;
use crate::node::RaftNode;
use crate::types::Command;
use crate::types::LeaderId;
use crate::types::TypeConfig;
use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::errors::ClientWriteError;
use openraft::errors::Fatal;
use openraft::errors::ForwardReason;
use openraft::errors::ForwardToLeader;
use openraft::errors::LinearizableReadError;
use openraft::errors::RaftError;
use openraft::impls::ProgressResponder;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

/// Between two attempts of a new leader that no majority has confirmed yet.
const RETRY: Duration = Duration::from_millis(10);

/// A command that is committed and applied here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// What the state machine answered.
    pub response: Vec<u8>,
}

impl RaftNode {
    /// Replicates `command` and applies it. `Ok` only when a majority has it on disk and this
    /// member has applied it. After any error but [`ProposeError::NotLeader`] and
    /// [`ProposeError::TooLarge`] it may still be applied, so a retry must be recognisable by the
    /// state machine. Dropping the future does not take the command back.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Applied, ProposeError> {
        self.write(command, None).await
    }

    /// As [`RaftNode::propose`], but only while this member leads in `term`: what a control loop
    /// decided in its term of office is not written in a later one. A [`ProposeError::NotLeader`]
    /// that names this very member means a later term.
    pub async fn propose_in_term(
        &self,
        term: u64,
        command: Vec<u8>,
    ) -> Result<Applied, ProposeError> {
        self.write(command, Some(term)).await
    }

    async fn write(&self, command: Vec<u8>, term: Option<u64>) -> Result<Applied, ProposeError> {
        let inner = self.inner();
        if command.len() > inner.max_command {
            return Err(ProposeError::TooLarge {
                size: command.len(),
                limit: inner.max_command,
            });
        }
        let limit = inner.propose_timeout;
        let command = Command(Bytes::from(command));
        timeout(limit, self.write_once_confirmed(command, term))
            .await
            .unwrap_or_else(|_| {
                Err(ProposeError::Unknown {
                    reason: format!("no majority acknowledged it within {limit:?}"),
                })
            })
    }

    /// A new leader refuses writes until a majority has confirmed it, for some milliseconds.
    /// Refused means not written, so trying again is safe.
    async fn write_once_confirmed(
        &self,
        command: Command,
        term: Option<u64>,
    ) -> Result<Applied, ProposeError> {
        let until = Instant::now() + self.inner().lease();
        loop {
            let refused = match self.try_write(command.clone(), term).await {
                Err(refused @ ProposeError::NotLeader { leader: None }) => refused,
                result => return result,
            };
            if !self.inner().is_leader() || Instant::now() >= until {
                return Err(refused);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_write(
        &self,
        command: Command,
        term: Option<u64>,
    ) -> Result<Applied, ProposeError> {
        let inner = self.inner();
        let (responder, result) = ProgressResponder::complete_only();
        let mut write = inner.raft.write(command).responder(responder);
        if let Some(term) = term {
            write = write.with_leader(LeaderId {
                term,
                node_id: inner.me.raft_id,
            });
        }
        write.await.map_err(|fatal| self.propose_failed(&fatal))?;
        let written = result
            .await
            .map_err(|_| self.propose_failed(&Fatal::Stopped))?;
        match written {
            Ok(written) => Ok(Applied {
                index: written.log_id.index,
                response: written.data,
            }),
            Err(ClientWriteError::ForwardToLeader(forward)) => Err(ProposeError::NotLeader {
                leader: leader_of(&forward),
            }),
            Err(
                error @ (ClientWriteError::LogEntryDiscarded(_)
                | ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_)),
            ) => Err(ProposeError::Unknown {
                reason: error.to_string(),
            }),
        }
    }

    fn propose_failed(&self, fatal: &Fatal<TypeConfig>) -> ProposeError {
        match self.inner().fault.get() {
            Some(reason) => ProposeError::Failed { reason },
            None => match fatal {
                Fatal::Stopped => ProposeError::Stopped,
                Fatal::StorageError(_) | Fatal::Panicked => ProposeError::Failed {
                    reason: fatal.to_string(),
                },
            },
        }
    }

    /// On the leader: an index such that a state that has applied it contains everything that
    /// was acknowledged before this call. A majority confirms the leader anew (no trust in
    /// clocks). The caller then waits with [`RaftNode::wait_applied`], here or on any member.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let inner = self.inner();
        // Within one lease either a majority answers or the leader has lost its office. Whoever
        // asked is then told, and may ask again.
        let limit = inner.lease();
        let read = inner.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        let linearizer = timeout(limit, read)
            .await
            .map_err(|_| ReadError::NoQuorum)?
            .map_err(|error| match error {
                RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                    ReadError::NotLeader {
                        leader: leader_of(&forward),
                    }
                }
                RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => {
                    ReadError::NoQuorum
                }
                RaftError::Fatal(fatal) => ReadError::Stopped {
                    reason: inner.stop_reason(&fatal),
                },
            })?;
        Ok(linearizer.read_log_id().log_id().index)
    }

    /// Waits until this member has applied the entry at `index`, of whatever kind.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), WaitError> {
        let inner = self.inner();
        let mut progress = inner.progress.subscribe();
        let mut stopped = inner.stopped.subscribe();
        let reached = timeout_at(deadline, async {
            tokio::select! {
                // The sender lives as long as `inner`, so this cannot fail.
                _ = progress.wait_for(|applied| *applied >= index) => Ok(()),
                reason = inner.fault.reported() => Err(WaitError::Stopped { reason }),
                _ = stopped.wait_for(|stopped| *stopped) => Err(WaitError::Stopped {
                    reason: "it was shut down".to_owned(),
                }),
            }
        });
        reached.await.unwrap_or_else(|_| {
            Err(WaitError::Deadline {
                index,
                applied: *inner.progress.borrow(),
            })
        })
    }
}

/// The leader that openraft forwards to, if it names one.
pub(crate) fn leader_of(forward: &ForwardToLeader<TypeConfig>) -> Option<crate::Member> {
    match forward.reason {
        ForwardReason::NotLeader | ForwardReason::LeadershipTransfer => {
            let peer = forward.leader_node?;
            Some(peer.member(forward.leader_id?))
        }
        // It would name this member, which nobody confirms.
        ForwardReason::LeaseExpired => None,
    }
}
