//! The simulation finds managers that are broken on purpose: otherwise its silence says nothing.
#![expect(clippy::expect_used, reason = "a test without a directory fails")]

use std::time::Duration;
use weft_sim::Plan;
use weft_sim::Sabotage;
use weft_sim::faults::Fault;
use weft_sim::simulate;

/// Seeds within which a broken manager must have been found.
const WITHIN: u64 = 12;

/// The first violation of the first seed that has one.
#[track_caller]
fn found(sabotage: Sabotage, faults: &'static [Fault]) -> String {
    for seed in 1..=WITHIN {
        let plan = Plan {
            trouble: Duration::from_secs(8),
            sabotage,
            faults: Some(faults),
            ..Plan::of(seed)
        };
        let report = simulate(plan).expect("a directory for snapshots");
        if let Some(violation) = report.violations.into_iter().next() {
            println!("seed {seed}: {violation}");
            return violation;
        }
    }
    panic!("{sabotage:?} was not found within {WITHIN} seeds");
}

#[test]
fn writes_that_are_acknowledged_before_they_are_synced_are_found() {
    found(Sabotage::AcknowledgesBeforeSync, &[Fault::KillAll]);
}

#[test]
fn reads_without_asking_the_leader_are_found() {
    let faults = &[Fault::Isolate, Fault::Storm];
    let violation = found(Sabotage::ReadsWithoutReadIndex, faults);
    assert!(violation.contains("not linearizable"), "{violation}");
}

#[test]
fn commands_that_are_applied_twice_are_found() {
    let faults = &[Fault::KillLeader, Fault::Mute, Fault::Storm];
    found(Sabotage::ForgetsCommands, faults);
}

#[test]
fn a_replica_that_applies_otherwise_than_others_is_found() {
    let violation = found(Sabotage::AppliesDifferently, &[Fault::Snapshot]);
    assert!(violation.contains("I7"), "{violation}");
}

#[test]
fn decisions_on_an_old_state_that_are_applied_are_found() {
    found(
        Sabotage::IgnoresVersions,
        &[Fault::Isolate, Fault::Transfer],
    );
}
