//! New tasks get their addresses.

use crate::allocator::choose_address;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_proto::NetworkId;
use weft_proto::command::Change;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// Moves new tasks on to pending: with an address on each of their networks, or with the reason why
/// there is none.
pub fn plan(state: &State, now: Timestamp) -> Vec<Change> {
    let mut given: BTreeMap<NetworkId, BTreeSet<IpAddr>> = BTreeMap::new();
    state
        .tasks()
        .filter(|task| task.status.state == TaskState::New && task.desired == DesiredState::Running)
        .filter_map(|task| step(state, task, &mut given, now))
        .map(Change::update)
        .collect()
}

fn step(
    state: &State,
    task: &Task,
    given: &mut BTreeMap<NetworkId, BTreeSet<IpAddr>>,
    now: Timestamp,
) -> Option<Task> {
    let mut next = task.clone();
    for attachment in &task.spec.networks {
        let taken = given.entry(attachment.id).or_default();
        let chosen = match state.network(attachment.id) {
            Some(network) => choose_address(state, network, taken).map_err(|err| err.to_string()),
            None => Err(format!("network {} is gone", attachment.id)),
        };
        match chosen {
            Ok(addr) => {
                taken.insert(addr);
                next.addresses.insert(attachment.id, addr);
            }
            Err(reason) if reason == task.status.message => return None,
            Err(reason) => {
                next = task.clone();
                next.status.message = reason;
                return Some(next);
            }
        }
    }
    next.status.state = TaskState::Pending;
    next.status.at = now;
    next.status.message = "waits for a node".to_owned();
    Some(next)
}
