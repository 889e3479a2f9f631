//! What was decided in one term of office becomes state in it, or not at all.

use crate::leader::batch::batches;
use crate::leader::control::ControlLoops;
use crate::store::State;
use futures::StreamExt;
use futures::future::ready;
use futures::stream;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::ConflictKind;
use weft_proto::convert::decode_result;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_raft::ProposeError;

/// Transactions of one decision that are under way at a time: while one is written to the disks the
/// next ones are sent and checked.
const IN_FLIGHT: usize = 4;
/// After a refused or unanswered proposal.
const RETRY: Duration = Duration::from_millis(100);

/// One term of office.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) loops: ControlLoops,
    pub(super) term: u64,
}

impl Deref for Office {
    type Target = ControlLoops;
    fn deref(&self) -> &ControlLoops {
        &self.loops
    }
}

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was nothing to do.
    Nothing,
    /// All of it is state.
    Committed,
    /// A part of it is not: decide again.
    Again,
}

impl Office {
    /// Proposes in batches, in this term of office only: what an isolated leader decided must not
    /// become state under its successor. On return every batch is state or never will be, so that
    /// the next decision is not made beside one that is still on its way.
    pub(super) async fn propose(
        &self,
        name: &'static str,
        state: &State,
        changes: Vec<Change>,
    ) -> Outcome {
        let failed = AtomicBool::new(false);
        let mut outcome = Outcome::Nothing;
        let going = |_: &Vec<Change>| ready(!failed.load(Ordering::Relaxed));
        let in_flight = in_flight(&changes);
        let batches = stream::iter(batches(state, changes)).take_while(going);
        let mut proposals = batches
            .map(|batch| self.propose_batch(name, batch))
            .buffered(in_flight);
        while let Some(committed) = proposals.next().await {
            if committed && outcome != Outcome::Again {
                outcome = Outcome::Committed;
            } else if !committed {
                // Those under way are waited for; no others begin.
                failed.store(true, Ordering::Relaxed);
                outcome = Outcome::Again;
            }
        }
        outcome
    }

    async fn propose_batch(&self, name: &'static str, batch: Vec<Change>) -> bool {
        let count = batch.len();
        let applied = match self.write(batch).await {
            Ok(applied) => applied,
            Err(err) => {
                tracing::warn!(name, %err, "a decision was not committed");
                if matches!(err, ProposeError::Unknown { .. }) {
                    self.settle().await;
                } else {
                    sleep(RETRY).await;
                }
                return false;
            }
        };
        self.store.wait_applied(applied.index).await;
        match decode_result(&applied.response) {
            Ok(Ok(revision)) => {
                tracing::debug!(name, count, revision, "decided");
                true
            }
            // Somebody was faster; the next look sees it.
            Ok(Err(conflict)) if conflict.kind == ConflictKind::Version => false,
            Ok(Err(conflict)) => {
                tracing::warn!(name, %conflict, "a decision was refused");
                sleep(RETRY).await;
                false
            }
            Err(problem) => {
                tracing::error!(name, %problem, "an answer is not understood");
                sleep(RETRY).await;
                false
            }
        }
    }

    /// Returns when nothing that was proposed in this term is on its way any more: a transaction of
    /// nothing that was written after it is applied. Without that, a decision whose answer was lost
    /// would be made a second time while the first one still becomes state.
    async fn settle(&self) {
        loop {
            match self.write(Vec::new()).await {
                Ok(applied) => return drop(self.store.wait_applied(applied.index).await),
                // The office is lost, and with it the loop that waits here.
                Err(err) => tracing::debug!(%err, "an unanswered decision is not settled yet"),
            }
            sleep(RETRY).await;
        }
    }

    async fn write(&self, changes: Vec<Change>) -> Result<weft_raft::Applied, ProposeError> {
        let command = Command {
            id: CommandId::from_entropy(self.entropy.bits()),
            at: self.clock.timestamp(),
            changes,
            actor: None,
        };
        self.raft.propose_in_term(self.term, command.encode()).await
    }
}

/// Tasks of different slots do not depend on each other; a service that changes with them decides
/// what may become of them, so then each batch waits for those before it.
fn in_flight(changes: &[Change]) -> usize {
    let only_tasks = changes.iter().all(|change| match change {
        Change::Put { object, .. } => matches!(object, Object::Task(_)),
        Change::Delete { key, .. } | Change::Guard { key, .. } => {
            matches!(key, ObjectKey::Task(_))
        }
    });
    if only_tasks { IN_FLIGHT } else { 1 }
}
