//! What many runs came to.

use crate::faults::Counts;
use crate::run::Report;
use parking_lot::Mutex;
use std::fmt;
use std::time::Duration;

/// Sums over runs. Shared by the threads that run them.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    runs: u64,
    failed: u64,
    faults: Counts,
    operations: usize,
    answered: usize,
    calls: u64,
    applied: u64,
    packets: u64,
    lost: u64,
    ran: u64,
    failed_disks: u64,
    lasted: Duration,
    converged: Duration,
}

impl Tally {
    /// Counts a run.
    pub fn add(&self, report: &Report) {
        let mut sums = self.0.lock();
        sums.runs += 1;
        sums.failed += u64::from(!report.violations.is_empty());
        for (fault, count) in &report.faults {
            *sums.faults.entry(*fault).or_insert(0) += count;
        }
        sums.operations += report.operations.0;
        sums.answered += report.operations.1;
        sums.calls += report.calls.0;
        sums.applied += report.applied;
        sums.packets += report.packets.0;
        sums.lost += report.packets.1;
        sums.ran += report.ran;
        sums.failed_disks += report.failed_disks;
        sums.lasted += report.lasted;
        sums.converged = sums.converged.max(report.converged);
    }

    /// How many runs were not as promised.
    pub fn failed(&self) -> u64 {
        self.0.lock().failed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sums = self.0.lock();
        let faults: u64 = sums.faults.values().sum();
        writeln!(
            f,
            "{} seeds, {} failed; {:.0} s of simulated time, {faults} faults, {} restarts after a failed disk",
            sums.runs,
            sums.failed,
            sums.lasted.as_secs_f64(),
            sums.failed_disks,
        )?;
        writeln!(
            f,
            "{} operations ({} answered), {} calls done, {} entries applied, {} packets ({} lost), {} tasks ran, converged within {:?}",
            sums.operations,
            sums.answered,
            sums.calls,
            sums.applied,
            sums.packets,
            sums.lost,
            sums.ran,
            sums.converged,
        )?;
        write!(f, "{:?}", sums.faults)
    }
}

impl Report {
    /// The run in a line, or what went wrong with it in several.
    pub fn line(&self, seed: u64) -> String {
        let mut text = format!(
            "seed {seed}: {} operations, {} faults, {} entries applied, term {}, converged after {:?}, print {:016x}",
            self.operations.0,
            self.faults.values().sum::<u64>(),
            self.applied,
            self.term,
            self.converged,
            self.fingerprint,
        );
        if self.violations.is_empty() {
            return text;
        }
        text.push_str("\n  FAILED");
        for violation in &self.violations {
            text.push_str("\n  ");
            text.push_str(violation);
        }
        text.push_str("\n  what was done to it:");
        for fault in &self.log {
            text.push_str("\n    ");
            text.push_str(fault);
        }
        text.push_str(&format!("\n  repeat it with: make sim SEEDS=1 SEED={seed}"));
        text
    }
}
