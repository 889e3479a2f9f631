//! What the cluster does not know yet about this node's tasks.

use crate::desired::Desired;
use crate::observed::TaskReport;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::watch;
use weft_proto::TaskId;
use weft_proto::object::TaskStatus;

/// The newest state of each task that the cluster does not know yet.
pub type Outbox = BTreeMap<TaskId, TaskStatus>;

/// Holds reports until the cluster knows them: until a task's assignment shows the state that was
/// reported or a later one. Ends with either of its sources.
pub async fn keep_outbox(
    mut reports: mpsc::Receiver<TaskReport>,
    mut desired: watch::Receiver<Arc<Desired>>,
    outbox: watch::Sender<Outbox>,
) {
    loop {
        // Both arms are cancel-safe.
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => put(&outbox, report),
                None => return,
            },
            changed = desired.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = Arc::clone(&desired.borrow_and_update());
                outbox.send_if_modified(|outbox| settle(outbox, &now));
            }
        }
    }
}

fn put(outbox: &watch::Sender<Outbox>, report: TaskReport) {
    outbox.send_modify(|outbox| {
        let known = outbox
            .entry(report.task)
            .or_insert_with(|| report.status.clone());
        if known.state < report.status.state {
            *known = report.status;
        }
    });
}

/// Drops what the cluster knows or does not want to know any more; whether anything was.
fn settle(outbox: &mut Outbox, desired: &Desired) -> bool {
    let before = outbox.len();
    outbox.retain(|task, status| {
        desired.tasks.get(task).is_some_and(|task| {
            task.status.state < status.state && !task.status.state.is_terminal()
        })
    });
    outbox.len() != before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::desired;
    use crate::fixture::status;
    use crate::fixture::task;
    use crate::fixture::task_id;
    use weft_proto::task_state::TaskState;

    #[test]
    fn a_report_is_kept_until_the_cluster_shows_it() {
        let mut outbox = Outbox::from([
            (task_id(1), status(TaskState::Running)),
            (task_id(2), status(TaskState::Running)),
            (task_id(3), status(TaskState::Running)),
        ]);
        let mut known = task(2);
        known.status.state = TaskState::Running;
        assert!(settle(&mut outbox, &desired(1, [task(1), known])));
        assert_eq!(outbox.keys().collect::<Vec<_>>(), [&task_id(1)]);
        assert!(!settle(&mut outbox, &desired(2, [task(1)])));
    }

    #[test]
    fn a_later_state_replaces_an_earlier_one_and_never_the_other_way() {
        let outbox = watch::Sender::new(Outbox::new());
        for state in [
            TaskState::Preparing,
            TaskState::Running,
            TaskState::Starting,
        ] {
            let report = TaskReport {
                task: task_id(1),
                status: status(state),
            };
            put(&outbox, report);
        }
        assert_eq!(outbox.borrow()[&task_id(1)].state, TaskState::Running);
    }
}
