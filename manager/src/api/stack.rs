//! What people who are limited to a stack may make.

use crate::acting::STACK_LABEL;
use crate::acting::Scope;
use crate::api::error::ApiError;
use weft_proto::spec::Labels;

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
