//! How fast nodes may join.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Between two joins, in the long run: 20 a second. A join is a write to the log and a signature;
/// a rack of machines is in within seconds, and the log keeps nearly all its room for others.
const INTERVAL: Duration = Duration::from_millis(50);
/// How many may come at once before they are spread out.
const BURST: u32 = 20;
/// The longest anybody waits for their turn; below the deadlines that clients have.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Spreads calls out, and refuses those that would wait for too long.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the next call would be due if all came evenly; `None` before the first.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    /// Takes the next turn: when it is, or how long the line is.
    pub(super) fn turn(&self, now: Instant) -> Result<Instant, Duration> {
        let mut due = self.due.lock();
        let next = due.map_or(now, |due| due.max(now));
        let wait = (next - now).saturating_sub(INTERVAL * (BURST - 1));
        if wait > LONGEST_WAIT {
            return Err(wait);
        }
        *due = Some(next + INTERVAL);
        Ok(now + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_passes_at_once_then_calls_are_spread_and_then_refused() {
        let pace = Pace::default();
        let now = Instant::now();
        for _ in 0..BURST {
            assert_eq!(pace.turn(now), Ok(now));
        }
        assert_eq!(pace.turn(now), Ok(now + INTERVAL));
        assert_eq!(pace.turn(now), Ok(now + 2 * INTERVAL));
        let passed = (0..10_000).filter(|_| pace.turn(now).is_ok()).count();
        assert_eq!(passed, 98, "five seconds' worth of calls in all");
        assert!(pace.turn(now).is_err());
    }

    #[tokio::test]
    async fn the_line_is_forgotten_when_nobody_comes() {
        let pace = Pace::default();
        let now = Instant::now();
        while pace.turn(now).is_ok() {}
        let later = now + Duration::from_secs(60);
        for _ in 0..BURST {
            assert_eq!(pace.turn(later), Ok(later));
        }
    }
}
