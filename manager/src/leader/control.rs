//! The loops themselves: look at the state, decide in a pure function, propose, wait.

use crate::entropy::Entropy;
use crate::leader::liveness::Liveness;
use crate::leader::membership;
use crate::leader::membership::MembershipStep;
use crate::leader::office::Office;
use crate::leader::office::Outcome;
use crate::leader::planner::Planner;
use crate::leader::planner::Round;
use crate::store::ChangeSet;
use crate::store::Store;
use crate::store::View;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::ObjectKey;
use weft_proto::time::Clock;
use weft_raft::RaftNode;

/// Looked at anew this often even if nothing happened, so that a lost hint costs only time.
const AT_LEAST: Duration = Duration::from_secs(10);
/// After a refused or unanswered proposal.
const RETRY: Duration = Duration::from_millis(100);
/// After so long a round looks at everything again, whatever changed.
const ANEW: Duration = Duration::from_secs(60);
/// The longest rest between two rounds.
const REST: Duration = Duration::from_millis(100);
/// More changed objects than these are looked at in a thread of their own.
const LONG: usize = 1_000;
/// How often silence is looked for.
const LIVENESS: Duration = Duration::from_millis(250);
/// A manager that sleeps so much longer than it meant to does not hear others in time either.
const HELD_UP: Duration = Duration::from_secs(1);
/// How often learners are looked at.
const PROGRESS: Duration = Duration::from_millis(500);
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

/// Whether changes are a reason to look at the members: with many nodes that is work, and most changes
/// are of tasks and services. An entry that changed nothing may have changed the membership itself.
fn concerns_members(sets: &[Arc<ChangeSet>]) -> bool {
    let mut changed = sets.iter().flat_map(|set| &set.changed);
    sets.is_empty() || changed.any(|key| matches!(key, ObjectKey::Node(_) | ObjectKey::Cluster))
}

impl Office {
    fn spawn(&self) -> JoinSet<()> {
        let mut loops = JoinSet::new();
        loops.spawn(self.clone().plan_tasks());
        loops.spawn(self.clone().watch_nodes());
        loops.spawn(self.clone().keep_membership());
        loops.spawn(self.clone().keep_keys());
        loops
    }

    /// Decides on every new state, as far as it changed.
    async fn plan_tasks(self) {
        let mut planner = Planner::default();
        let mut views = self.store.subscribe();
        let (mut seen, mut whole): (Option<u64>, _) = (None, Instant::now());
        loop {
            let view = views.borrow_and_update().clone();
            // Asked for after the view was taken: it may say more than the view has, never less.
            let since = seen.filter(|_| whole.elapsed() < ANEW);
            let changed = since.and_then(|seen| self.store.changes_since(seen).ok());
            if changed.is_none() {
                whole = Instant::now();
            }
            seen = Some(view.revision());
            let begun = Instant::now();
            let round;
            (planner, round) = match self.round(planner, &view, changed).await {
                Ok(done) => done,
                Err(broke) => {
                    tracing::error!(%broke, "the planner broke");
                    return;
                }
            };
            match self.propose("tasks", &view, round.changes).await {
                // What was just committed is decided upon too, not waited for.
                Outcome::Committed => continue,
                Outcome::Again => {
                    planner.again();
                    continue;
                }
                Outcome::Nothing => {}
            }
            // While others change much and nothing comes of it, half of the time is left to them.
            sleep(begun.elapsed().min(REST)).await;
            let wait = round.wake_at.map_or(AT_LEAST, |at| {
                at.since(self.clock.timestamp())
                    .clamp(Duration::from_millis(1), AT_LEAST)
            });
            drop(timeout(wait, views.changed()).await);
        }
    }

    /// One round; a long one in a thread of its own, so that it holds up no heartbeat.
    async fn round(
        &self,
        mut planner: Planner,
        view: &View,
        changed: Option<Vec<Arc<ChangeSet>>>,
    ) -> Result<(Planner, Round), JoinError> {
        let (view, now, entropy) = (view.clone(), self.clock.timestamp(), self.entropy.clone());
        let long = match &changed {
            Some(sets) => sets.iter().map(|set| set.changed.len()).sum::<usize>() > LONG,
            None => view.tasks().nth(LONG).is_some(),
        };
        let work = move || {
            let mut new_id = || TaskId::from_entropy(entropy.bits());
            let round = planner.round(&view, changed.as_deref(), now, &mut new_id);
            (planner, round)
        };
        if long {
            spawn_blocking(work).await
        } else {
            Ok(work())
        }
    }

    async fn watch_nodes(self) {
        let mut since = Instant::now();
        loop {
            let begun = Instant::now();
            sleep(LIVENESS).await;
            // What nodes said meanwhile is still to be read, here and on the way.
            if begun.elapsed() > LIVENESS + HELD_UP {
                tracing::warn!(for_ = ?begun.elapsed(), "this manager was held up");
                since = Instant::now();
            }
            let view = self.store.view();
            let now = self.clock.timestamp();
            let changes = self.liveness.plan(&view, since, Instant::now(), now);
            self.propose("liveness", &view, changes).await;
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
                        let retired = vec![Change::update(*node)];
                        self.propose("membership", &view, retired).await;
                        Ok(())
                    }
                };
                match done {
                    Ok(()) => tracing::info!(?step, "membership changed"),
                    Err(err) => tracing::warn!(?step, %err, "membership not changed"),
                }
            }
            // Progress of learners is not announced, so this looks again by itself.
            let again = Instant::now() + PROGRESS;
            let mut seen = view.revision();
            while timeout_at(again, views.changed()).await.is_ok() {
                let now = views.borrow_and_update().revision();
                let sets = self.store.changes_since(seen);
                if sets.is_ok_and(|sets| !concerns_members(&sets)) {
                    seen = now;
                } else {
                    break;
                }
            }
        }
    }
}
