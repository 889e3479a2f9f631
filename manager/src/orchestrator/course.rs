//! What a change of a service's spec sets going. For whoever writes the spec; times are the leader's to
//! say.

use crate::orchestrator::restored;
use weft_proto::object::JobRun;
use weft_proto::object::Service;
use weft_proto::object::UpdateState;
use weft_proto::object::UpdateStatus;
use weft_proto::spec::ServiceSpec;
use weft_proto::time::Timestamp;

/// There is no spec to go back to, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no previous spec: {0}")]
pub struct NoPrevious(pub &'static str);

/// The first run of a job.
pub fn first_run(spec: &ServiceSpec) -> Option<JobRun> {
    spec.mode.is_job().then(|| run(1))
}

fn run(iteration: u64) -> JobRun {
    JobRun {
        iteration,
        started: Timestamp::default(),
        skipped: None,
    }
}

fn next_run(old: &Service) -> Option<JobRun> {
    let last = old.run.map_or(0, |run| run.iteration);
    Some(run(last.saturating_add(1)))
}

fn begun(state: UpdateState, message: &str) -> Option<UpdateStatus> {
    Some(UpdateStatus {
        state,
        started: Timestamp::default(),
        ended: None,
        message: message.to_owned(),
    })
}

/// `old` with the spec changed: from when on it rolls over, and what a rollback returns to.
pub fn updated(old: &Service, spec: ServiceSpec) -> Service {
    let mut service = old.clone();
    let rolls = spec.task != old.spec.task;
    let state = old.update.as_ref().map(|status| status.state);
    // What a rollback takes back; the number of tasks is not part of it.
    if restored(&old.spec, &spec) != old.spec {
        service.previous = match state {
            // What never came to its end is nothing to return to.
            Some(UpdateState::Updating | UpdateState::Paused) if old.previous.is_some() => {
                old.previous.clone()
            }
            Some(_) | None => Some(Box::new(old.spec.clone())),
        };
    }
    let paused =
        state.filter(|state| matches!(state, UpdateState::Paused | UpdateState::RollbackPaused));
    let only_scaled = {
        let mut scaled = old.spec.clone();
        scaled.mode = spec.mode;
        spec == scaled && spec != old.spec
    };
    if spec.mode.is_job() {
        if rolls {
            service.run = next_run(old);
        }
    } else if rolls {
        service.update = begun(UpdateState::Updating, "");
    } else if let (Some(paused), false) = (paused, only_scaled) {
        let resumed = match paused.is_rollback() {
            true => UpdateState::RollingBack,
            false => UpdateState::Updating,
        };
        service.update = begun(resumed, "resumed");
    }
    service.spec = spec;
    service
}

/// `old` with other versions of the secrets and configs it uses: what runs rolls over to them. A job
/// goes on with its run, and tasks it makes from now on have them.
pub fn refreshed(old: &Service, spec: ServiceSpec) -> Service {
    match spec.mode.is_job() {
        true => Service {
            spec,
            ..old.clone()
        },
        false => updated(old, spec),
    }
}

/// `old` on its way back to the spec before.
///
/// # Errors
/// There is none.
pub fn rolled_back(old: &Service) -> Result<Service, NoPrevious> {
    let state = old.update.as_ref().map(|status| status.state);
    let Some(previous) = old.previous.as_deref() else {
        let why = match state {
            Some(state) if state.is_rollback() => "it was rolled back already",
            Some(_) | None => "it was not changed since it was created",
        };
        return Err(NoPrevious(why));
    };
    let mut service = old.clone();
    service.spec = restored(&old.spec, previous);
    // Back and forth between two specs that came to their end; what did not is forgotten.
    let ended_well = match state {
        None | Some(UpdateState::Completed | UpdateState::RollbackCompleted) => true,
        Some(
            UpdateState::Updating
            | UpdateState::Paused
            | UpdateState::RollingBack
            | UpdateState::RollbackPaused,
        ) => false,
    };
    service.previous = ended_well.then(|| Box::new(old.spec.clone()));
    if service.spec.mode.is_job() {
        service.run = next_run(old);
    } else {
        service.update = begun(UpdateState::RollingBack, "asked for");
    }
    Ok(service)
}
