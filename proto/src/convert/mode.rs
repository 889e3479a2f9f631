//! How many tasks a service has: one of four fields of its spec.

use crate::convert::ConvertError;
use crate::convert::limits::MAX_REPLICAS;
use crate::spec::Mode;
use crate::wire;

/// Says the mode in `spec`.
pub(super) fn write(mode: Mode, spec: &mut wire::ServiceSpec) {
    match mode {
        Mode::Replicated { replicas } => {
            spec.replicated = Some(wire::ReplicatedMode { replicas });
        }
        Mode::Global => spec.global = Some(wire::GlobalMode {}),
        Mode::ReplicatedJob {
            completions,
            max_concurrent,
        } => {
            spec.replicated_job = Some(wire::ReplicatedJobMode {
                completions,
                max_concurrent,
            });
        }
        Mode::GlobalJob => spec.global_job = Some(wire::GlobalJobMode {}),
    }
}

/// The one mode that `spec` says.
pub(super) fn read(spec: &wire::ServiceSpec) -> Result<Mode, ConvertError> {
    let said = [
        spec.replicated.map(|mode| Mode::Replicated {
            replicas: mode.replicas,
        }),
        spec.global.map(|_| Mode::Global),
        spec.replicated_job.map(|mode| Mode::ReplicatedJob {
            completions: mode.completions,
            max_concurrent: mode.max_concurrent,
        }),
        spec.global_job.map(|_| Mode::GlobalJob),
    ];
    let mut said = said.into_iter().flatten();
    // No default: a mode that a newer version invents must not run as something else here.
    let mode = said.next().ok_or_else(|| {
        ConvertError::at(
            "mode",
            "is missing: say replicated, global, replicated_job or global_job",
        )
    })?;
    if let Some(other) = said.next() {
        return Err(ConvertError::at(
            "mode",
            format!("is said twice: {mode} and {other}; use one of them"),
        ));
    }
    let slots = mode.slots().unwrap_or_default();
    if slots > MAX_REPLICAS {
        let field = match mode {
            Mode::ReplicatedJob { .. } => "replicated_job.completions",
            Mode::Replicated { .. } | Mode::Global | Mode::GlobalJob => "replicated.replicas",
        };
        return Err(ConvertError::at(
            field,
            format!("{slots} are too many: use at most {MAX_REPLICAS}"),
        ));
    }
    Ok(mode)
}
