//! The loops themselves: look at the state, decide in a pure function, propose, wait.

use crate::allocator;
use crate::entropy::Entropy;
use crate::leader::liveness::Liveness;
use crate::leader::membership;
use crate::leader::membership::MembershipStep;
use crate::orchestrator;
use crate::scheduler;
use crate::store::State;
use crate::store::Store;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weft_proto::CommandId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::ConflictKind;
use weft_proto::convert::decode_result;
use weft_proto::time::Clock;
use weft_proto::time::Timestamp;
use weft_raft::RaftNode;

/// Changes in one transaction: small enough that a conflict costs little and an entry stays far
/// below the log's limit.
const BATCH: usize = 100;
/// Looked at anew this often even if nothing happened, so that a lost hint costs only time.
const AT_LEAST: Duration = Duration::from_secs(10);
/// After a refused or unanswered proposal.
const RETRY: Duration = Duration::from_millis(100);
/// How often silence is looked for.
const LIVENESS: Duration = Duration::from_millis(500);
/// How often a leader checks that it still is one.
const OFFICE: Duration = Duration::from_millis(200);
/// How long a learner may take to get the log before the next round tries again.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Everything the loops need.
#[derive(Clone)]
pub struct ControlLoops {
    /// The log.
    pub raft: RaftNode,
    /// The state.
    pub store: Arc<Store>,
    /// What was heard of nodes.
    pub liveness: Arc<Liveness>,
    /// The time that is stamped into decisions.
    pub clock: Arc<dyn Clock>,
    /// Where new identifiers come from.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for ControlLoops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlLoops")
            .field("raft", &self.raft)
            .finish_non_exhaustive()
    }
}

/// A decision and when to decide again.
type Decision = (Vec<Change>, Option<Timestamp>);

impl ControlLoops {
    /// Runs the loops whenever this manager holds the leader's office, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let term = tokio::select! {
                () = stop.cancelled() => return,
                term = self.take_office() => term,
            };
            tracing::info!(term, "this manager leads");
            self.liveness.reset();
            let mut loops = Office {
                loops: self.clone(),
                term,
            }
            .spawn();
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.lose_office(term) => {}
                ended = loops.join_next() => {
                    tracing::error!(?ended, "a control loop ended by itself; all start again");
                    sleep(RETRY).await;
                }
            }
            loops.shutdown().await;
            tracing::info!(term, "this manager leads no longer");
        }
    }

    async fn take_office(&self) -> u64 {
        let mut status = self.raft.status();
        loop {
            let now = status.borrow_and_update().clone();
            if now.holds_office(Instant::now()) {
                return now.term;
            }
            drop(timeout(OFFICE, status.changed()).await);
        }
    }

    /// A leader that is cut off is told nothing, so this looks by itself.
    async fn lose_office(&self, term: u64) {
        loop {
            sleep(OFFICE).await;
            let status = self.raft.status().borrow().clone();
            if status.term != term || !status.holds_office(Instant::now()) {
                return;
            }
        }
    }
}

/// One term of office.
#[derive(Clone)]
struct Office {
    loops: ControlLoops,
    term: u64,
}

impl Deref for Office {
    type Target = ControlLoops;
    fn deref(&self) -> &ControlLoops {
        &self.loops
    }
}

impl Office {
    fn spawn(&self) -> JoinSet<()> {
        let mut loops = JoinSet::new();
        let entropy = self.entropy.clone();
        loops.spawn(self.clone().decide("orchestrator", move |state, now| {
            let mut new_id = || TaskId::from_entropy(entropy.bits());
            let plan = orchestrator::plan(state, now, &mut new_id);
            (plan.changes, plan.wake_at)
        }));
        loops.spawn(self.clone().decide("allocator", |state, now| {
            let services = allocator::plan_services(state);
            ([services, allocator::plan(state, now)].concat(), None)
        }));
        loops.spawn(self.clone().decide("scheduler", |state, now| {
            (scheduler::plan(state, now), None)
        }));
        loops.spawn(self.clone().watch_nodes());
        loops.spawn(self.clone().keep_membership());
        loops
    }

    /// One loop: decides on every new state.
    async fn decide<F>(self, name: &'static str, decide: F)
    where
        F: Fn(&State, Timestamp) -> Decision,
    {
        let mut views = self.store.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            let (changes, wake_at) = decide(&view, self.clock.timestamp());
            if self.propose(name, changes).await {
                // What was just committed is decided upon too, not waited for.
                continue;
            }
            let wait = wake_at.map_or(AT_LEAST, |at| {
                at.since(self.clock.timestamp())
                    .clamp(Duration::from_millis(1), AT_LEAST)
            });
            drop(timeout(wait, views.changed()).await);
        }
    }

    /// Proposes in batches, in this term of office only: what an isolated leader decided must not
    /// become state under its successor. True if there is reason to decide again.
    async fn propose(&self, name: &'static str, changes: Vec<Change>) -> bool {
        let mut committed = false;
        let mut rest = changes.into_iter().peekable();
        while rest.peek().is_some() {
            let batch: Vec<Change> = rest.by_ref().take(BATCH).collect();
            let command = Command {
                id: CommandId::from_entropy(self.entropy.bits()),
                at: self.clock.timestamp(),
                changes: batch,
            };
            let applied = match self.raft.propose_in_term(self.term, command.encode()).await {
                Ok(applied) => applied,
                Err(err) => {
                    tracing::warn!(name, %err, "a decision was not committed");
                    sleep(RETRY).await;
                    return true;
                }
            };
            self.store.wait_applied(applied.index).await;
            match decode_result(&applied.response) {
                Ok(Ok(revision)) => {
                    tracing::debug!(name, count = command.changes.len(), revision, "decided");
                    committed = true;
                }
                // Somebody was faster; the next look sees it.
                Ok(Err(conflict)) if conflict.kind == ConflictKind::Version => return true,
                Ok(Err(conflict)) => {
                    tracing::warn!(name, %conflict, "a decision was refused");
                    sleep(RETRY).await;
                    return true;
                }
                Err(problem) => {
                    tracing::error!(name, %problem, "an answer is not understood");
                    sleep(RETRY).await;
                    return true;
                }
            }
        }
        committed
    }

    async fn watch_nodes(self) {
        let since = Instant::now();
        loop {
            sleep(LIVENESS).await;
            let view = self.store.view();
            let now = self.clock.timestamp();
            let changes = self.liveness.plan(&view, since, Instant::now(), now);
            self.propose("liveness", changes).await;
        }
    }

    async fn keep_membership(self) {
        let mut views = self.store.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            let step = membership::plan(&view, &self.raft.status().borrow(), Instant::now());
            if let Some(step) = step {
                let done = match step.clone() {
                    MembershipStep::AddLearner(member) => self.raft.add_learner(member).await,
                    MembershipStep::Promote(id) => self.raft.promote(id, CATCH_UP).await,
                    MembershipStep::Move(member) => self.raft.update_addr(member).await,
                    MembershipStep::HandOver(to) => self.raft.transfer_leader(to).await,
                    MembershipStep::Remove(id) => self.raft.remove(id).await,
                    MembershipStep::Retire(node) => {
                        self.propose("membership", vec![Change::update(*node)])
                            .await;
                        Ok(())
                    }
                };
                match done {
                    Ok(()) => tracing::info!(?step, "membership changed"),
                    Err(err) => tracing::warn!(?step, %err, "membership not changed"),
                }
            }
            // Progress of learners is not announced, so this looks again by itself.
            drop(timeout(LIVENESS, views.changed()).await);
        }
    }
}
