//! Whether a task is healthy, by what its health check said so far. Pure.

use std::time::Duration;
use tokio::time::Instant;
use weft_proto::spec::HealthCheck;

/// Until a task was healthy for the first time it is checked at least this often, so that it gets
/// traffic as soon as it can take some; only checks an interval apart count as failures.
const EAGER: Duration = Duration::from_secs(1);

/// What is known of a task's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its spec has no check: it is healthy while it runs.
    Unchecked,
    /// No check has succeeded yet.
    Starting,
    /// It was healthy, and has not failed too often since.
    Healthy,
    /// So many checks in a row failed that it has to end. Final.
    Unhealthy(String),
}

/// The checks of one task.
#[derive(Debug)]
pub(super) struct Checks {
    check: HealthCheck,
    /// No failure counts before this, an interval after the last one that did.
    counts_at: Instant,
    failures: u32,
    next: Instant,
    health: Health,
}

impl Checks {
    /// Of a task that began to run at `started`. `healthy`: it was once, by what the cluster knows.
    pub(super) fn new(check: HealthCheck, started: Instant, healthy: bool, now: Instant) -> Self {
        let counts_at = match healthy {
            true => now,
            false => started + check.start_period.max(check.interval),
        };
        Checks {
            counts_at,
            failures: 0,
            next: now,
            health: if healthy {
                Health::Healthy
            } else {
                Health::Starting
            },
            check,
        }
    }

    /// What is known.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// What to run.
    pub(super) fn check(&self) -> &HealthCheck {
        &self.check
    }

    /// When to check next; `None`: never again.
    pub(super) fn due(&self) -> Option<Instant> {
        (!matches!(self.health, Health::Unhealthy(_))).then_some(self.next)
    }

    /// A check ended: well, or with the reason why not. Whether that changed what is known.
    pub(super) fn step(&mut self, now: Instant, result: Result<(), String>) -> bool {
        let before = self.health.clone();
        match result {
            Ok(()) => {
                self.failures = 0;
                self.health = Health::Healthy;
                self.counts_at = now;
            }
            Err(why) if now >= self.counts_at => {
                self.failures += 1;
                self.counts_at = now + self.check.interval;
                if self.failures >= self.check.retries.get() {
                    let times = match self.failures {
                        1 => "once".to_owned(),
                        times => format!("{times} times in a row"),
                    };
                    self.health =
                        Health::Unhealthy(format!("unhealthy: its check failed {times}: {why}"));
                }
            }
            Err(_) => {}
        }
        let pause = match self.health {
            Health::Starting => self.check.interval.min(EAGER),
            Health::Unchecked | Health::Healthy | Health::Unhealthy(_) => self.check.interval,
        };
        self.next = now + pause;
        self.health != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a task of which each check says what `say` does at its second.
    fn play(
        start_period: u64,
        healthy: bool,
        say: impl Fn(u64) -> bool,
        until: u64,
    ) -> Vec<(u64, Health)> {
        let check = HealthCheck {
            command: vec!["true".to_owned()],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retries: 3.try_into().unwrap(),
            start_period: Duration::from_secs(start_period),
        };
        let start = Instant::now();
        let mut checks = Checks::new(check, start, healthy, start);
        let mut news = Vec::new();
        while let Some(due) = checks.due() {
            let second = (due - start).as_secs();
            if second > until {
                break;
            }
            let result = say(second).then_some(()).ok_or("exit code 1".to_owned());
            if checks.step(due, result) {
                news.push((second, checks.health().clone()));
            }
        }
        news
    }

    fn unhealthy() -> Health {
        Health::Unhealthy("unhealthy: its check failed 3 times in a row: exit code 1".to_owned())
    }

    #[test]
    fn a_task_is_healthy_as_soon_as_a_check_says_so() {
        assert_eq!(play(0, false, |at| at >= 7, 100), [(7, Health::Healthy)]);
        assert_eq!(play(60, false, |_| true, 100), [(0, Health::Healthy)]);
    }

    #[test]
    fn one_that_never_is_has_its_retries_an_interval_apart() {
        assert_eq!(play(0, false, |_| false, 100), [(30, unhealthy())]);
        assert_eq!(play(60, false, |_| false, 100), [(80, unhealthy())]);
    }

    #[test]
    fn one_that_was_is_unhealthy_after_failures_in_a_row_only() {
        let flaky = |at: u64| !(at / 10).is_multiple_of(3);
        assert_eq!(play(0, true, flaky, 500), []);
        let dies = |at: u64| at < 45;
        assert_eq!(play(0, true, dies, 500), [(70, unhealthy())]);
        let dies = play(300, false, dies, 500);
        assert_eq!(dies, [(0, Health::Healthy), (70, unhealthy())]);
    }
}
