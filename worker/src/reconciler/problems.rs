//! What goes wrong, told once, and when to try again.

use std::collections::BTreeSet;
use std::time::Duration;
use tracing::info;
use tracing::warn;

/// Pause before the next try after the first round with a problem; doubled up to `MAX`.
const MIN: Duration = Duration::from_millis(200);
const MAX: Duration = Duration::from_secs(5);

/// The problems of the last round.
#[derive(Debug, Default)]
pub(super) struct Problems {
    known: BTreeSet<String>,
    rounds: u32,
}

impl Problems {
    /// Takes over the problems of a round, logs what changed, and says how long to wait before
    /// the next; `None` without problems.
    pub(super) fn update(&mut self, now: BTreeSet<String>) -> Option<Duration> {
        for problem in now.difference(&self.known) {
            warn!(%problem, "this node is not yet what it should be; trying again");
        }
        for problem in self.known.difference(&now) {
            info!(%problem, "solved");
        }
        // A different problem is news, and what helps against it may come soon.
        self.rounds = if now == self.known {
            self.rounds.saturating_add(1)
        } else {
            0
        };
        self.known = now;
        (!self.known.is_empty()).then(|| MAX.min(MIN * 2_u32.pow(self.rounds.min(10))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_nothing_changes_and_begin_anew_when_something_does() {
        let mut problems = Problems::default();
        let one = BTreeSet::from(["a".to_owned()]);
        let two = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        assert_eq!(problems.update(one.clone()), Some(MIN));
        assert_eq!(problems.update(one.clone()), Some(MIN * 2));
        for _ in 0..20 {
            problems.update(one.clone());
        }
        assert_eq!(problems.update(one), Some(MAX));
        assert_eq!(problems.update(two), Some(MIN));
        assert_eq!(problems.update(BTreeSet::new()), None);
    }
}
