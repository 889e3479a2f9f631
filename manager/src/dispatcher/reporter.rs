//! Gathers reports of all sessions and proposes them together.

use crate::dispatcher::Pace;
use crate::dispatcher::presence::Presence;
use crate::dispatcher::report::Plan;
use crate::dispatcher::report::Report;
use crate::dispatcher::report::ReportKey;
use crate::dispatcher::report::plan;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::Store;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::object::TaskStatus;

/// Most reports in one proposal: with the longest texts well within what a log entry may be.
const BATCH: usize = 256;
/// Most reports of one node that wait: more than the tasks a node can have.
const MAX_WAITING: usize = 16_384;
/// How often a report is decided anew because its task changed meanwhile, before it waits for the
/// next batch like others.
const ATTEMPTS: u32 = 4;

type Reports = BTreeMap<ReportKey, Report>;

/// Reports on their way into the state. The newest of each task is kept until it is in the state,
/// or its session ended: an agent says everything again in its next session.
pub(super) struct Reporter {
    store: Arc<Store>,
    proposer: Arc<dyn Proposer>,
    presence: Arc<Presence>,
    pace: Pace,
    waiting: Mutex<Reports>,
    some: Notify,
}

impl Reporter {
    pub(super) fn new(
        store: Arc<Store>,
        proposer: Arc<dyn Proposer>,
        presence: Arc<Presence>,
        pace: Pace,
    ) -> Self {
        Reporter {
            store,
            proposer,
            presence,
            pace,
            waiting: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// Takes a report; it becomes state soon.
    pub(super) fn report(&self, node: NodeId, session: u64, task: TaskId, status: TaskStatus) {
        let key = (node, task);
        let mut waiting = self.waiting.lock();
        let of_node = (node, TaskId::from_entropy(0))..=(node, TaskId::from_entropy(u128::MAX));
        if !waiting.contains_key(&key) && waiting.range(of_node).count() >= MAX_WAITING {
            tracing::warn!(%node, %task, "too many reports of one node wait, this one is dropped");
            return;
        }
        keep_newer(&mut waiting, key, Report { session, status });
        self.some.notify_one();
    }

    /// Proposes what comes in, for as long as it is polled.
    pub(super) async fn run(&self) {
        loop {
            self.some.notified().await;
            tokio::time::sleep(self.pace.gather).await;
            while let Some(batch) = self.take() {
                let rest = self.commit(batch).await;
                if !rest.is_empty() {
                    self.put_back(rest);
                    tokio::time::sleep(self.pace.retry).await;
                }
            }
        }
    }

    fn take(&self) -> Option<Reports> {
        let mut waiting = self.waiting.lock();
        let batch: Reports = in_turn(waiting.keys())
            .into_iter()
            .take(BATCH)
            .filter_map(|key| waiting.remove_entry(&key))
            .collect();
        (!batch.is_empty()).then_some(batch)
    }

    fn put_back(&self, reports: Reports) {
        let mut waiting = self.waiting.lock();
        for (key, report) in reports {
            if self.presence.is_live(key.0, report.session) {
                keep_newer(&mut waiting, key, report);
            }
        }
    }

    /// Makes reports state together; what cannot be at this time comes back.
    async fn commit(&self, batch: Reports) -> Reports {
        let Ok(Plan { changes, .. }) = self.plan(&batch).await else {
            return batch;
        };
        if changes.is_empty() {
            return Reports::new();
        }
        match self.proposer.propose(changes.into_values().collect()).await {
            Ok(_) => Reports::new(),
            Err(ProposeError::NoLeader(reason)) => {
                tracing::debug!(reason, reports = batch.len(), "reports wait for a leader");
                batch
            }
            Err(ProposeError::Stopping) => batch,
            // One task that changed meanwhile must not hold up the others.
            Err(ProposeError::Conflict(_) | ProposeError::TooLarge(_)) => {
                let mut rest = Reports::new();
                for (key, report) in batch {
                    if let Some(report) = self.commit_one(key, report).await {
                        rest.insert(key, report);
                    }
                }
                rest
            }
        }
    }

    /// Makes one report state; it comes back when it cannot be at this time.
    async fn commit_one(&self, key: ReportKey, report: Report) -> Option<Report> {
        let single = Reports::from([(key, report)]);
        for _ in 0..ATTEMPTS {
            let Ok(view) = self.proposer.fresh_view().await else {
                break;
            };
            let changes = plan(&view, &single).changes;
            if changes.is_empty() {
                return None;
            }
            match self.proposer.propose(changes.into_values().collect()).await {
                Ok(_) => return None,
                Err(ProposeError::Conflict(_)) => {}
                Err(error @ ProposeError::TooLarge(_)) => {
                    tracing::warn!(node = %key.0, task = %key.1, %error, "report dropped");
                    return None;
                }
                Err(ProposeError::NoLeader(_) | ProposeError::Stopping) => break,
            }
        }
        single.into_values().next()
    }

    /// Decides on this manager's own state, and on a fresh one when that does not know a task: the
    /// agent may come from a manager that was ahead.
    async fn plan(&self, batch: &Reports) -> Result<Plan, ProposeError> {
        let mut decided = plan(&self.store.view(), batch);
        if !decided.unknown.is_empty() {
            decided = plan(&*self.proposer.fresh_view().await?, batch);
        }
        for (node, task) in decided.foreign.iter().chain(&decided.unknown) {
            tracing::warn!(%node, %task, "status refused: the task is not one of this node");
        }
        Ok(decided)
    }
}

/// The first report of each node, then the second of each, and so on: a node that reports much holds
/// up no other.
pub(super) fn in_turn<'a>(keys: impl Iterator<Item = &'a ReportKey>) -> Vec<ReportKey> {
    let mut turns: Vec<(usize, ReportKey)> = Vec::new();
    for key in keys {
        let turn = match turns.last() {
            Some((turn, (node, _))) if *node == key.0 => turn + 1,
            Some(_) | None => 0,
        };
        turns.push((turn, *key));
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, key)| key).collect()
}

fn keep_newer(waiting: &mut Reports, key: ReportKey, report: Report) {
    let newer = waiting
        .get(&key)
        .is_none_or(|old| (old.status.state, old.session) <= (report.status.state, report.session));
    if newer {
        waiting.insert(key, report);
    }
}
