//! Pending tasks get a node.

use crate::scheduler::filter::Refusal;
use crate::scheduler::filter::refuse;
use crate::scheduler::filter::summary;
use crate::scheduler::node_info::NodeInfo;
use crate::store::State;
use weft_proto::command::Change;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// Gives every pending task the node that runs the fewest tasks of its service, then the fewest in
/// all; or writes down why no node suits.
pub fn plan(state: &State, now: Timestamp) -> Vec<Change> {
    let mut pending: Vec<&Task> = state
        .tasks()
        .map(AsRef::as_ref)
        .filter(|task| {
            task.status.state == TaskState::Pending && task.desired == DesiredState::Running
        })
        .collect();
    if pending.is_empty() {
        return Vec::new();
    }
    // By service and slot, so that equal states always give equal plans.
    pending.sort_by_key(|task| (task.service, task.slot, task.id));
    let mut nodes: Vec<NodeInfo> = state
        .nodes()
        .map(|node| NodeInfo::of(state, node))
        .collect();
    pending
        .into_iter()
        .filter_map(|task| place(task, &mut nodes, now))
        .map(Change::update)
        .collect()
}

fn place(task: &Task, nodes: &mut [NodeInfo], now: Timestamp) -> Option<Task> {
    let mut next = task.clone();
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut suitable: Vec<&mut NodeInfo> = Vec::new();
    for info in nodes {
        if task.node.is_some_and(|node| node != info.node.id) {
            continue;
        }
        match refuse(info, task) {
            Some(refusal) => refusals.push(refusal),
            None => suitable.push(info),
        }
    }
    let best = suitable.into_iter().min_by_key(|info| {
        (
            info.of_service(task.service),
            info.total(),
            info.node.number,
        )
    });
    match best {
        Some(info) => {
            next.node = Some(info.node.id);
            next.ingress_addr = info.ingress_addr();
            next.status.state = TaskState::Assigned;
            next.status.at = now;
            next.status.message = "waits for its node's agent".to_owned();
            info.add(&next);
            Some(next)
        }
        None => {
            let reason = summary(&refusals);
            (reason != task.status.message).then(|| {
                next.status.message = reason;
                next
            })
        }
    }
}
