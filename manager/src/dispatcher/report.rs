//! What agents say of their tasks, made changes of the state. Pure.

use crate::dispatcher::describe::shorten;
use crate::store::State;
use std::collections::BTreeMap;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Longest message and error of a status. They are replicated and kept with the task's record.
const MAX_TEXT: usize = 1024;

/// Whose report of which task.
pub(super) type ReportKey = (NodeId, TaskId);

/// A report that is not state yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// The session it came in on.
    pub(super) session: u64,
    /// What the agent saw.
    pub(super) status: TaskStatus,
}

/// Reads a report; `None` when it is no report. Texts are cut, and a time ahead is now: nothing that
/// a node says can fill the log or put off what waits for a time.
pub(super) fn read(wire: wire::TaskReport, now: Timestamp) -> Option<(TaskId, TaskStatus)> {
    let task = wire.task_id.parse().ok()?;
    let mut status = TaskStatus::try_from(wire.status?).ok()?;
    shorten(&mut status.message, MAX_TEXT);
    shorten(&mut status.error, MAX_TEXT);
    status.at = status.at.min(now);
    Some((task, status))
}

/// What to do about reports.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// One for each report that brings its task on.
    pub(super) changes: BTreeMap<ReportKey, Change>,
    /// Of tasks that belong to another node. A task never moves, so this stays so.
    pub(super) foreign: Vec<ReportKey>,
    /// Of tasks that the state does not have, or not on any node. A newer state may.
    pub(super) unknown: Vec<ReportKey>,
}

/// What reports make of a state. A report that is no news is in no list.
pub(super) fn plan(view: &State, reports: &BTreeMap<ReportKey, Report>) -> Plan {
    let mut plan = Plan::default();
    for (key @ (node, task), report) in reports {
        let known = view.task(*task);
        let Some((task, on)) = known.and_then(|task| Some((task, task.node?))) else {
            plan.unknown.push(*key);
            continue;
        };
        if on != *node {
            plan.foreign.push(*key);
        } else if task.status.state.agent_may_report(report.status.state) {
            let mut task = Task::clone(task);
            task.status = report.status.clone();
            plan.changes.insert(*key, Change::update(task));
        }
    }
    plan
}
