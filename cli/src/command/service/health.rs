//! What says whether a task is healthy, as flags.

use crate::command::value::duration;
use anyhow::bail;
use clap::Args;
use weft_proto::defaults;
use weft_proto::wire;

/// How the health of tasks is checked.
#[derive(Debug, Default, Args)]
pub(super) struct HealthFlags {
    /// Shell command, run in each task, that says by exit code 0 that the task is healthy: only then
    /// it gets traffic, and it is replaced when it is not any more
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between two checks, like 10s [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    health_interval: Option<u64>,
    /// Time a check may take, like 5s [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    health_timeout: Option<u64>,
    /// How many checks in a row must fail [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    health_retries: Option<u32>,
    /// Time after a task's start in which failed checks do not count, like 1m [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    health_start_period: Option<u64>,
    /// No health check: a task is healthy while it runs
    #[arg(long, conflicts_with = "health_cmd")]
    no_healthcheck: bool,
}

impl HealthFlags {
    /// Puts what was said into `task`.
    ///
    /// # Errors
    /// Something of a health check where there is none.
    pub(super) fn apply(self, task: &mut wire::TaskSpec) -> anyhow::Result<()> {
        if self.no_healthcheck {
            task.health = None;
            return Ok(());
        }
        let times = [
            self.health_interval,
            self.health_timeout,
            self.health_start_period,
        ];
        let said = times.iter().any(Option::is_some) || self.health_retries.is_some();
        if let Some(command) = self.health_cmd {
            let check = task.health.get_or_insert_with(|| wire::HealthCheck {
                command: Vec::new(),
                interval_ms: millis(defaults::HEALTH_INTERVAL),
                timeout_ms: millis(defaults::HEALTH_TIMEOUT),
                retries: defaults::HEALTH_RETRIES,
                start_period_ms: 0,
            });
            check.command = ["/bin/sh", "-c", &command].map(str::to_owned).to_vec();
        }
        let Some(check) = &mut task.health else {
            if said {
                bail!("the service has no health check: say its command with --health-cmd");
            }
            return Ok(());
        };
        let [interval, timeout, start_period] = times;
        check.interval_ms = interval.unwrap_or(check.interval_ms);
        check.timeout_ms = timeout.unwrap_or(check.timeout_ms);
        check.start_period_ms = start_period.unwrap_or(check.start_period_ms);
        check.retries = self.health_retries.unwrap_or(check.retries);
        Ok(())
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
