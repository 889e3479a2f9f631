//! How many tasks a service has and should have.

use crate::orchestrator::eligible::Seating;
use crate::orchestrator::eligible::is_up;
use crate::orchestrator::eligible::seating;
use crate::orchestrator::job;
use crate::store::State;
use std::collections::BTreeSet;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::spec::Mode;
use weft_proto::task_state::TaskState;

/// Numbers of tasks of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Run and are to go on running, on nodes that answer.
    pub running: u32,
    /// Should run; of a job, must complete in the present run.
    pub wanted: u32,
    /// Of a job: slots that are done in the present run.
    pub completed: u32,
}

/// Counts the tasks of a service.
pub fn count(state: &State, service: &Service) -> Count {
    let mut running = 0;
    let mut done = BTreeSet::new();
    let run = service.run.map(|run| run.iteration);
    for task in state.tasks_of_service(service.id) {
        running += usize::from(is_running(state, task));
        let complete = task.status.state == TaskState::Complete;
        if complete && Some(task.iteration) == run {
            done.insert(task.slot);
        }
    }
    let wanted = match service.spec.mode {
        Mode::Replicated { replicas } => amount(replicas),
        Mode::ReplicatedJob { completions, .. } => amount(completions),
        Mode::Global => state
            .nodes()
            .filter(|node| seating(node, &service.spec.task) == Seating::Yes)
            .count(),
        Mode::GlobalJob => job::participants(state, service),
    };
    let completed = match service.spec.mode.is_job() {
        true => done.len().min(wanted),
        false => 0,
    };
    Count {
        running: number(running),
        wanted: number(wanted),
        completed: number(completed),
    }
}

fn is_running(state: &State, task: &Task) -> bool {
    let node = task.node.and_then(|id| state.node(id));
    task.is_wanted()
        && task.status.state == TaskState::Running
        && node.is_none_or(|node| is_up(node))
}

fn amount(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
