//! What a run came to, for people and for later comparison.

use crate::nemesis::Figures;
use crate::record::Action;
use crate::record::Operation;
use crate::record::Outcome;
use crate::replicas::Compared;
use crate::run::Options;
use crate::watcher::Watched;
use std::fmt;
use std::time::Duration;

/// What a run measured beside its clients' history.
#[derive(Clone, Debug)]
pub struct Done {
    /// From the first fault to the end of the last.
    pub took: Duration,
    /// What was done to the managers.
    pub figures: Figures,
    /// What watchers were told.
    pub watched: Watched,
    /// How the managers' states compare.
    pub compared: Compared,
}

/// The figures of a run that passed every check.
#[derive(Clone, Debug)]
pub struct Report {
    seed: u64,
    managers: usize,
    command: String,
    done: Done,
    /// Writes, swaps and creations that were acknowledged.
    pub written: usize,
    /// Reads that were answered.
    pub read: usize,
    /// Writes without an answer.
    pub unknown: usize,
    /// Operations that were sent more than once, to different managers.
    pub repeated: usize,
    /// Swaps that found another version.
    pub mismatched: usize,
    /// Calls that nobody heard, or that were refused.
    pub failed: usize,
    /// The longest time without an acknowledged write.
    pub gap: Duration,
}

impl Report {
    /// Counts.
    pub fn new(options: &Options, done: Done, operations: &[Operation]) -> Report {
        let count = |is: &dyn Fn(&Operation) -> bool| operations.iter().filter(|op| is(op)).count();
        let writes = |op: &Operation| op.action != Action::Read;
        Report {
            seed: options.seed,
            managers: options.managers,
            command: options.command(),
            done,
            written: count(&|op| op.outcome == Outcome::Done),
            read: count(&|op| matches!(op.outcome, Outcome::Read(_))),
            unknown: count(&|op| writes(op) && op.outcome == Outcome::Unknown),
            repeated: count(&|op| op.sent > 1),
            mismatched: count(&|op| op.outcome == Outcome::Mismatch),
            failed: count(&|op| op.outcome == Outcome::Failed),
            gap: longest_gap(operations),
        }
    }

    /// What was done to the managers.
    pub fn figures(&self) -> &Figures {
        &self.done.figures
    }
}

/// The longest time between two acknowledgements of writes.
fn longest_gap(operations: &[Operation]) -> Duration {
    let done = operations.iter().filter(|op| op.outcome == Outcome::Done);
    let mut ends: Vec<u64> = done.map(|op| op.returned).collect();
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_nanos(gaps.max().unwrap_or(0))
}

/// The value that so many of a hundred do not exceed; zero of none.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

/// Number, median, 99th percentile and maximum of times.
pub fn spread(values: &[Duration]) -> String {
    let ms = |percent| percentile(values, percent).as_millis();
    let count = values.len();
    format!(
        "{count} times: p50 {} ms, p99 {} ms, max {} ms",
        ms(50),
        ms(99),
        ms(100)
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            steps,
            kills,
            leaders,
            blackouts,
            stops,
            cuts,
            failovers,
            rss_kib,
        } = &self.done.figures;
        let (watched, compared) = (&self.done.watched, self.done.compared);
        writeln!(
            f,
            "seed {}, {} managers, {} s: {kills} kills ({leaders} of leaders, {blackouts} times all \
             at once), {stops} stops, {cuts} cuts in {steps} steps",
            self.seed,
            self.managers,
            self.done.took.as_secs()
        )?;
        writeln!(
            f,
            "{} writes acknowledged, {} with unknown outcome, {} swaps beaten, {} calls refused or \
             unheard, {} reads; {} calls were sent again elsewhere",
            self.written, self.unknown, self.mismatched, self.failed, self.read, self.repeated
        )?;
        writeln!(
            f,
            "no acknowledged write is lost, and the history is linearizable"
        )?;
        writeln!(
            f,
            "{} watchers were told the same {} changes without a gap; they resumed {} times, {} of \
             them from a whole state",
            watched.watchers, watched.changes, watched.resumed, watched.resyncs
        )?;
        writeln!(
            f,
            "all managers have one state at revision {}; {} hashes of equal revisions were equal",
            compared.revision, compared.times
        )?;
        writeln!(
            f,
            "longest time without a write {} ms; leader killed to next write, {}",
            self.gap.as_millis(),
            spread(failovers)
        )?;
        writeln!(f, "largest daemon {} MiB", rss_kib >> 10)?;
        write!(f, "repeat with: {}", self.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 50).as_millis(), 50);
        assert_eq!(percentile(&values, 99).as_millis(), 99);
        assert_eq!(percentile(&values, 100).as_millis(), 100);
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
