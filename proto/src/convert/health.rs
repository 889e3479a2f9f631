//! What says whether a task is healthy.

use crate::convert::ConvertError;
use crate::convert::field;
use crate::convert::limits::HEALTH_TIMES;
use crate::convert::task_spec::without_nul;
use crate::defaults;
use crate::spec::HealthCheck;
use crate::wire;
use std::num::NonZeroU32;
use std::time::Duration;

impl From<&HealthCheck> for wire::HealthCheck {
    fn from(check: &HealthCheck) -> Self {
        wire::HealthCheck {
            command: check.command.clone(),
            interval_ms: field::millis(check.interval),
            timeout_ms: field::millis(check.timeout),
            retries: check.retries.get(),
            start_period_ms: field::millis(check.start_period),
        }
    }
}

pub(super) fn read(wire: wire::HealthCheck) -> Result<HealthCheck, ConvertError> {
    if wire.command.first().is_none_or(String::is_empty) {
        return Err(ConvertError::at(
            "command",
            "is empty: give the command that checks, or no health check at all",
        ));
    }
    let retries = NonZeroU32::new(wire.retries).or(NonZeroU32::new(defaults::HEALTH_RETRIES));
    Ok(HealthCheck {
        command: field::list("command", wire.command, |word| {
            without_nul("", &word)?;
            Ok(word)
        })?,
        interval: time("interval_ms", wire.interval_ms, defaults::HEALTH_INTERVAL)?,
        timeout: time("timeout_ms", wire.timeout_ms, defaults::HEALTH_TIMEOUT)?,
        retries: retries.unwrap_or(NonZeroU32::MIN),
        start_period: match wire.start_period_ms {
            0 => Duration::ZERO,
            ms => time("start_period_ms", ms, Duration::ZERO)?,
        },
    })
}

fn time(field: &str, ms: u64, default: Duration) -> Result<Duration, ConvertError> {
    if ms == 0 {
        return Ok(default);
    }
    let time = Duration::from_millis(ms);
    if !HEALTH_TIMES.contains(&time) {
        let (least, most) = (HEALTH_TIMES.start(), HEALTH_TIMES.end());
        return Err(ConvertError::at(
            field,
            format!(
                "is {ms} ms: use {} ms to {} ms, a day",
                least.as_millis(),
                most.as_millis()
            ),
        ));
    }
    Ok(time)
}
