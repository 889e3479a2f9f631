//! Waiting for a condition, with a ceiling. Nothing in the rig sleeps for luck.

use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Pause between two looks: short beside what is waited for (process starts, elections), long
/// beside the cost of a look (a read of /proc).
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` has an answer; `None` when `ceiling` passes first. Looks at least once,
/// and once more after the ceiling, so that a descheduled waiter does not miss what is true.
pub fn until<T>(ceiling: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let last = start.elapsed() >= ceiling;
        if let Some(found) = look() {
            return Some(found);
        }
        if last {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_already_true_is_seen_with_a_ceiling_of_zero() {
        assert_eq!(until(Duration::ZERO, || Some(7)), Some(7));
    }

    #[test]
    fn a_condition_that_never_holds_ends_at_the_ceiling() {
        let mut looks = 0;
        let never: Option<()> = until(Duration::from_millis(120), || {
            looks += 1;
            None
        });
        assert!(never.is_none());
        assert!(looks >= 2);
    }
}
