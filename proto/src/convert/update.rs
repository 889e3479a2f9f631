//! How changes roll over, and how far one is.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::defaults;
use crate::object::JobRun;
use crate::object::UpdateState;
use crate::object::UpdateStatus;
use crate::spec::FailureAction;
use crate::spec::Ratio;
use crate::spec::UpdateConfig;
use crate::spec::UpdateOrder;
use crate::time::Timestamp;
use crate::wire;
use std::time::Duration;

impl From<&UpdateConfig> for wire::UpdateConfig {
    fn from(update: &UpdateConfig) -> Self {
        wire::UpdateConfig {
            parallelism: update.parallelism,
            delay_ms: field::millis(update.delay),
            order: wire::UpdateOrder::from(update.order).into(),
            monitor_ms: Some(field::millis(update.monitor)),
            failure_action: wire::FailureAction::from(update.failure_action).into(),
            max_failure_thousandths: update.max_failure_ratio.thousandths().into(),
        }
    }
}

pub(super) fn read(wire: wire::UpdateConfig) -> Result<UpdateConfig, ConvertError> {
    Ok(UpdateConfig {
        parallelism: wire.parallelism,
        delay: Duration::from_millis(wire.delay_ms),
        order: field::enumeration_or::<wire::UpdateOrder, UpdateOrder>(
            "order",
            wire.order,
            defaults::UPDATE.order,
        )?,
        monitor: wire
            .monitor_ms
            .map_or(defaults::UPDATE.monitor, Duration::from_millis),
        failure_action: field::enumeration_or::<wire::FailureAction, FailureAction>(
            "failure_action",
            wire.failure_action,
            defaults::UPDATE.failure_action,
        )?,
        max_failure_ratio: Ratio::from_thousandths(wire.max_failure_thousandths)
            .map_err(|err| ConvertError::at("max_failure_thousandths", err.to_string()))?,
    })
}

door!(UpdateConfig => UpdateConfig, read, "update");

impl From<&UpdateStatus> for wire::UpdateStatus {
    fn from(status: &UpdateStatus) -> Self {
        wire::UpdateStatus {
            state: wire::update_status::State::from(status.state).into(),
            started_ms: status.started.as_millis(),
            ended_ms: status.ended.map(Timestamp::as_millis),
            message: status.message.clone(),
        }
    }
}

pub(super) fn read_status(wire: wire::UpdateStatus) -> Result<UpdateStatus, ConvertError> {
    Ok(UpdateStatus {
        state: field::enumeration::<wire::update_status::State, UpdateState>("state", wire.state)?,
        started: Timestamp::from_millis(wire.started_ms),
        ended: wire.ended_ms.map(Timestamp::from_millis),
        message: wire.message,
    })
}

impl From<JobRun> for wire::JobRun {
    fn from(run: JobRun) -> Self {
        wire::JobRun {
            iteration: run.iteration,
            started_ms: run.started.as_millis(),
            skipped_ms: run.skipped.map(Timestamp::as_millis),
        }
    }
}

impl From<wire::JobRun> for JobRun {
    fn from(wire: wire::JobRun) -> Self {
        JobRun {
            iteration: wire.iteration,
            started: Timestamp::from_millis(wire.started_ms),
            skipped: wire.skipped_ms.map(Timestamp::from_millis),
        }
    }
}
