//! A leader without a majority.

use crate::world::World;
use nix::sys::signal::Signal;
use std::time::Duration;
use weft_chaos::plan::Direction;
use weft_chaos::plan::Fault;
use weft_chaos::plan::Settle;
use weft_chaos::plan::Step;
use weft_chaos::plan::Victims;
use weft_chaos::record::Action;
use weft_chaos::record::Outcome;
use weft_rig::DaemonState;

#[test]
fn a_leader_that_is_cut_off_answers_its_clients_neither_reads_nor_writes() -> anyhow::Result<()> {
    for direction in [Direction::Both, Direction::Mute, Direction::Deaf] {
        let world = World::new("alone")?;
        let old = world.nemesis.wait_leader()?;
        let other = (old + 1) % 3;
        world.nemesis.isolate(old, direction)?;
        // The others elect, so the one that is cut off has led on for as long as it may.
        world.write(other, 2);
        for _ in 0..3 {
            let read = world.read(old);
            assert!(
                read.is_none_or(|value| value == 2),
                "{direction:?}: an old value was read where nobody can know better: {read:?}"
            );
        }
        if direction == Direction::Both {
            assert_eq!(world.act(old, Action::Write(3)), Outcome::Unknown);
            assert_eq!(world.read(old), None);
        }
        world.nemesis.join_again(old)?;
        let value = world.wait_read(old);
        assert!([2, 3].contains(&value), "{value}");
        world.end()?;
    }
    Ok(())
}

#[test]
fn a_leader_that_was_stopped_beyond_its_lease_wakes_up_to_the_news() -> anyhow::Result<()> {
    let world = World::new("asleep")?;
    for round in 2..6 {
        let old = world.nemesis.wait_leader()?;
        let DaemonState::Running(id) = world.cluster.managers[old].daemon() else {
            anyhow::bail!("the leader does not run");
        };
        id.signal(Signal::SIGSTOP)?;
        world.write((old + 1) % 3, round);
        id.signal(Signal::SIGCONT)?;
        // At once: it still takes itself for the leader, and its lease for long.
        for _ in 0..5 {
            let read = world.read(old);
            assert!(read.is_none_or(|value| value == round), "{read:?}");
        }
        assert_eq!(world.wait_read(old), round);
    }
    world.end()
}

#[test]
fn managers_that_all_die_at_once_come_back_with_every_acknowledged_write() -> anyhow::Result<()> {
    let mut world = World::new("dark")?;
    for round in 2..8 {
        world.write(usize::try_from(round % 3)?, round);
        world.nemesis.apply(&Step {
            fault: Fault::Kill,
            victims: Victims::All,
            roll: round,
            outage: Duration::from_millis(20),
            stagger: Duration::from_millis(20),
            settle: Settle::Blind(Duration::ZERO),
        })?;
        assert_eq!(world.wait_read(usize::try_from((round + 1) % 3)?), round);
    }
    world.end()
}
