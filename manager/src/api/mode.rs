//! What a service's spec may not be in its mode.

use crate::api::error::ApiError;
use std::mem::discriminant;
use weft_proto::defaults;
use weft_proto::object::Service;
use weft_proto::spec::RestartCondition;
use weft_proto::spec::ServiceSpec;
use weft_proto::wire;

/// A job that does not say when its tasks are started again: when they failed. One that ended well is
/// done.
pub(super) fn complete(spec: &mut wire::ServiceSpec) {
    let is_job = spec.replicated_job.is_some() || spec.global_job.is_some();
    if let (true, Some(task)) = (is_job, &mut spec.task) {
        let default = wire::RestartPolicy::from(&defaults::JOB_RESTART);
        let restart = task.restart.get_or_insert(default);
        if restart.condition == i32::from(wire::RestartCondition::Unspecified) {
            restart.condition = default.condition;
        }
    }
}

/// Refuses what means nothing in the spec's mode.
pub(super) fn check(spec: &ServiceSpec) -> Result<(), ApiError> {
    let mode = spec.mode;
    let meaningless = |what: &'static str, why: &'static str| {
        let mode = mode.to_string();
        Err(ApiError::Meaningless { what, mode, why })
    };
    if mode.is_job() && spec.task.restart.condition == RestartCondition::Any {
        return meaningless(
            "restart condition any",
            "a job that ended well is done; use on-failure or none",
        );
    }
    if mode.is_job() && !spec.ports.is_empty() {
        return meaningless(
            "a published port",
            "its tasks end, and then nobody answers; use a service of mode replicated or global",
        );
    }
    if mode.is_global() && !spec.task.preferences.is_empty() {
        return meaningless(
            "a placement preference",
            "it has one task on every node that may run it; use constraints",
        );
    }
    if mode.is_global() && spec.task.max_per_node.is_some() {
        return meaningless(
            "a limit of tasks per node",
            "it has one task on every node that may run it",
        );
    }
    Ok(())
}

/// Refuses another mode: tasks of one cannot become tasks of another.
pub(super) fn same_mode(old: &Service, spec: &ServiceSpec) -> Result<(), ApiError> {
    if discriminant(&old.spec.mode) == discriminant(&spec.mode) {
        return Ok(());
    }
    Err(ApiError::ModeChange {
        name: old.spec.name.clone(),
        from: old.spec.mode.to_string(),
        to: spec.mode.to_string(),
    })
}
