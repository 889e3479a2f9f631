//! What people who are limited to a stack may make.

use crate::acting::STACK_LABEL;
use crate::acting::Scope;
use crate::api::error::ApiError;
use crate::store::State;
use weft_proto::spec::Labels;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::ServiceSpec;

/// Refuses an object that would not be of the caller's stack.
pub(super) fn of_stack(scope: &Scope, kind: &'static str, labels: &Labels) -> Result<(), ApiError> {
    match scope.only() {
        Some(stack) if !scope.has(labels) => Err(ApiError::OtherStack {
            kind,
            stack: stack.clone(),
            label: STACK_LABEL,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Refuses secrets and configs of others: a task would read them aloud.
pub(super) fn files(state: &State, scope: &Scope, spec: &ServiceSpec) -> Result<(), ApiError> {
    for file in &spec.task.files {
        if let Some(material) = state.material(file.material) {
            let kind = match material.kind {
                MaterialKind::Secret => "secret",
                MaterialKind::Config => "config",
            };
            of_stack(scope, kind, &material.spec.labels)?;
        }
    }
    Ok(())
}
