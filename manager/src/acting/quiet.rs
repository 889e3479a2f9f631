//! Refusals are told in the log, but a flood of them must not fill it.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Lines within one [`PERIOD`]. A person or a broken program stays far below; what a flood says
/// more than this is only counted.
const LINES: u32 = 20;
/// After it, lines are told again.
const PERIOD: Duration = Duration::from_secs(10);

/// Counts lines of one kind.
#[derive(Debug, Default)]
pub struct Quiet(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
}

impl Quiet {
    /// Whether the next line may be told, and how many were not told before it.
    pub fn turn(&self, now: Instant) -> Option<u32> {
        let mut window = self.0.lock();
        let over = |open: &Window| now.saturating_duration_since(open.since) >= PERIOD;
        let skipped = match window.as_mut() {
            Some(open) if !over(open) => {
                open.lines = open.lines.saturating_add(1);
                return (open.lines <= LINES).then_some(0);
            }
            Some(open) => open.lines.saturating_sub(LINES),
            None => 0,
        };
        *window = Some(Window {
            since: now,
            lines: 1,
        });
        Some(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_is_counted_and_what_comes_after_it_is_told() {
        let quiet = Quiet::default();
        let now = Instant::now();
        let told = (0..1000).filter(|_| quiet.turn(now).is_some()).count();
        assert_eq!(told, usize::try_from(LINES).unwrap());
        assert_eq!(quiet.turn(now + PERIOD), Some(1000 - LINES));
        assert_eq!(quiet.turn(now + PERIOD), Some(0));
    }
}
