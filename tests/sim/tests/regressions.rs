//! What the simulation found, each under the name of what went wrong.

use std::time::Duration;
use weft_sim::Plan;
use weft_sim::Sabotage;
use weft_sim::faults::Fault;
use weft_sim::simulate;

/// A leader that no majority answered held its entries back by refusing each stream at once, and
/// openraft, whose backoff waits only within a stream, asked again at once: a processor was busy
/// for as long as it lasted, and simulated time stood still.
#[test]
fn a_leader_without_a_majority_does_not_spin() {
    const FAULTS: &[Fault] = &[Fault::Isolate, Fault::Deaf, Fault::KillAll];
    for seed in [2, 102] {
        let plan = Plan {
            trouble: Duration::from_secs(8),
            sabotage: Sabotage::None,
            faults: Some(FAULTS),
            ..Plan::of(seed)
        };
        let report = simulate(plan).expect("a directory for snapshots");
        assert_eq!(report.violations, [""; 0]);
        let seconds = report.lasted.as_secs() + 1;
        let packets = report.packets.0 / seconds;
        // About 900 a second are usual; one that spins sends or dials thousands.
        assert!(packets < 5000, "{packets} packets a second");
    }
}
