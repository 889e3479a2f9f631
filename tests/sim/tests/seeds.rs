//! Seeds that are run every time, in tests that run beside each other.
#![expect(clippy::expect_used, reason = "a test without a directory fails")]

use weft_sim::Plan;
use weft_sim::Tally;
use weft_sim::simulate;

/// Seeds of each test. One takes two to three seconds of a processor here, where openraft checks
/// itself at every step; `make sim` runs thousands.
const SEEDS: u64 = 5;

#[track_caller]
fn seeds(first: u64) {
    let tally = Tally::default();
    let mut failures = Vec::new();
    for seed in first..first + SEEDS {
        let report = simulate(Plan::of(seed)).expect("a directory for snapshots");
        if !report.violations.is_empty() {
            failures.push(report.line(seed));
        }
        tally.add(&report);
    }
    println!("{tally}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn seeds_from_1_keep_every_promise() {
    seeds(1);
}

#[test]
fn seeds_from_6_keep_every_promise() {
    seeds(6);
}

#[test]
fn seeds_from_11_keep_every_promise() {
    seeds(11);
}

#[test]
fn seeds_from_16_keep_every_promise() {
    seeds(16);
}

#[test]
fn seeds_from_21_keep_every_promise() {
    seeds(21);
}

#[test]
fn seeds_from_26_keep_every_promise() {
    seeds(26);
}
