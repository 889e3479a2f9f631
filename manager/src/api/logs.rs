//! Which tasks' output is meant.

use crate::acting::Scope;
use crate::api::error::ApiError;
use crate::api::target;
use crate::api::target::TargetError;
use crate::api::task;
use crate::logs::Followed;
use crate::logs::LogQuery;
use crate::store::State;
use weft_proto::TaskId;
use weft_proto::wire;

/// Whose output, and what to read of it at first, for a request whose target is a service or a single task, by name (`web.1`: the
/// newest of that slot) or identifier.
pub(super) fn query(
    state: &State,
    scope: &Scope,
    request: &wire::ServiceLogsRequest,
) -> Result<(Followed, LogQuery), ApiError> {
    let (followed, tasks) = match target::service(state, scope, &request.target) {
        Ok(service) => {
            let tasks = given_away(state, task::list(state, Some(service.id), None));
            (Followed::Service(service.id), tasks)
        }
        Err(error) => {
            let task =
                one_task(state, scope, &request.target).map_err(|task| worse(error, task))?;
            (Followed::Task(task), vec![task])
        }
    };
    let query = LogQuery {
        tasks,
        follow: request.follow,
        tail: request.tail,
        all: request.all,
        since_ms: request.since_ms,
    };
    Ok((followed, query))
}

/// Tasks that never had a node wrote nothing.
fn given_away(state: &State, tasks: Vec<std::sync::Arc<weft_proto::object::Task>>) -> Vec<TaskId> {
    tasks
        .into_iter()
        .filter(|task| task.node.is_some_and(|node| state.node(node).is_some()))
        .map(|task| task.id)
        .collect()
}

fn one_task(state: &State, scope: &Scope, target: &str) -> Result<TaskId, TargetError> {
    let newest = task::list(state, None, None)
        .into_iter()
        .find(|task| task.name() == target && task::is_in(state, scope, task));
    if let Some(task) = newest {
        return Ok(task.id);
    }
    let mine = state.tasks().filter(|task| task::is_in(state, scope, task));
    let all = mine.map(|task| (task.id, String::new(), task.id));
    target::find("task", target, all)
}

/// The more helpful of two answers: about tasks only when the target is the beginning of several.
fn worse(service: ApiError, task: TargetError) -> ApiError {
    match task {
        TargetError::Ambiguous { .. } => task.into(),
        TargetError::Empty { .. } | TargetError::NotFound { .. } => service,
    }
}
