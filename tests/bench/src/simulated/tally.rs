//! How far the tasks of a simulated cluster are, and when how many got there. Pure.

use std::collections::BTreeMap;
use std::time::Duration;
use weft_proto::TaskId;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;

/// How far a task is, as far as this measurement distinguishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Created,
    Placed,
    Running,
}

/// How many tasks had got how far at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Tasks that exist.
    pub(crate) created: usize,
    /// Tasks that have a node.
    pub(crate) placed: usize,
    /// Tasks that run.
    pub(crate) running: usize,
}

/// Counts tasks by what changed, since counting all of them at every change would be the cost that
/// is measured.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    stages: BTreeMap<TaskId, Stage>,
    now: Mark,
    marks: Vec<Mark>,
}

impl Tally {
    /// A task as it is now.
    pub(crate) fn see(&mut self, task: &Task) {
        let stage = stage(task);
        let before = self.stages.insert(task.id, stage);
        let reached = |wanted| before < Some(wanted) && stage >= wanted;
        self.now.created += usize::from(before.is_none());
        self.now.placed += usize::from(reached(Stage::Placed));
        self.now.running += usize::from(reached(Stage::Running));
    }

    /// Writes down how far all tasks are.
    pub(crate) fn mark(&mut self, at: Duration) -> Mark {
        self.now.at = at;
        self.marks.push(self.now);
        self.now
    }

    /// When the first `count` tasks had got as far as `of` says.
    pub(crate) fn reached(&self, count: usize, of: fn(&Mark) -> usize) -> Option<Duration> {
        let mark = self.marks.iter().find(|mark| of(mark) >= count)?;
        Some(mark.at)
    }
}

fn stage(task: &Task) -> Stage {
    if task.status.state >= TaskState::Running {
        Stage::Running
    } else if task.node.is_some() {
        Stage::Placed
    } else {
        Stage::Created
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::NodeId;
    use weft_proto::wire;

    fn task(n: u128, state: TaskState, on: Option<u128>) -> Task {
        let wire = wire::Task {
            id: TaskId::from_entropy(n).to_string(),
            service_id: weft_proto::ServiceId::from_entropy(1).to_string(),
            service_name: "web".to_owned(),
            slot: 1,
            node_id: on.map_or(String::new(), |n| NodeId::from_entropy(n).to_string()),
            spec: Some(wire::TaskSpec {
                runtime: wire::Runtime::Process.into(),
                command: vec!["x".to_owned()],
                ..Default::default()
            }),
            status: Some(wire::TaskStatus {
                state: u32::from(state as u16),
                ..Default::default()
            }),
            desired_state: u32::from(weft_proto::task_state::DesiredState::Running as u16),
            ..Default::default()
        };
        wire.try_into().unwrap()
    }

    #[test]
    fn a_task_counts_once_for_each_stage_also_when_it_skips_one() {
        let mut tally = Tally::default();
        tally.see(&task(1, TaskState::New, None));
        tally.see(&task(1, TaskState::Pending, None));
        tally.see(&task(2, TaskState::Running, Some(7)));
        let mark = tally.mark(Duration::from_secs(1));
        assert_eq!((mark.created, mark.placed, mark.running), (2, 1, 1));
        tally.see(&task(1, TaskState::Assigned, Some(7)));
        tally.see(&task(1, TaskState::Running, Some(7)));
        tally.see(&task(1, TaskState::Failed, Some(7)));
        let mark = tally.mark(Duration::from_secs(2));
        assert_eq!((mark.created, mark.placed, mark.running), (2, 2, 2));
    }

    #[test]
    fn a_count_was_reached_at_the_first_mark_that_shows_it() {
        let mut tally = Tally::default();
        tally.see(&task(1, TaskState::New, None));
        tally.mark(Duration::from_secs(1));
        tally.see(&task(2, TaskState::New, None));
        tally.mark(Duration::from_secs(2));
        let created = |mark: &Mark| mark.created;
        assert_eq!(tally.reached(1, created), Some(Duration::from_secs(1)));
        assert_eq!(tally.reached(2, created), Some(Duration::from_secs(2)));
        assert_eq!(tally.reached(3, created), None);
    }
}
