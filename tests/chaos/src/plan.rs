//! What will be done to the managers, rolled from the seed before anything happens.

use crate::dice::Dice;
use std::fmt;
use std::time::Duration;

/// A family of faults that a run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Family {
    /// SIGKILL, of one, several or all managers at the same moment.
    Kill,
    /// SIGSTOP for longer than a leader's lease, then SIGCONT.
    Stop,
    /// Packets between managers are dropped, in one direction or both.
    Cut,
}

/// Who is meant; resolved when it happens, since only then there is a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victims {
    /// The leader; anybody while there is none.
    Leader,
    /// One that does not lead.
    Follower,
    /// So many, whoever they are.
    Several(usize),
    /// Every manager.
    All,
}

/// What happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, then a start.
    Kill,
    /// SIGSTOP, then SIGCONT.
    Stop,
    /// Cut off from the other managers, then healed.
    Cut(Direction),
}

/// Which packets of a cut manager are lost. Its own clients reach it all the same: they use its
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// All.
    Both,
    /// It hears nobody, and is heard.
    Deaf,
    /// Nobody hears it, and it hears.
    Mute,
}

/// What is waited for before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Nothing: the next step may hit a manager that is just starting, or an election.
    Blind(Duration),
    /// A write that was asked for after the fault and acknowledged, and then so long.
    Write(Duration),
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub fault: Fault,
    /// To whom.
    pub victims: Victims,
    /// Decides among equals, and in which order they come back.
    pub roll: u64,
    /// How long it lasts.
    pub outage: Duration,
    /// Between the returns of two victims.
    pub stagger: Duration,
    /// What follows.
    pub settle: Settle,
}

/// At most so many steps follow each other without a write in between: who only kills learns
/// nothing, since nothing is acknowledged that could be lost.
const BLIND_IN_A_ROW: u32 = 2;

/// An endless sequence of steps.
#[derive(Clone, Debug)]
pub struct Plan {
    dice: Dice,
    families: Vec<Family>,
    managers: usize,
    blind: u32,
}

impl Plan {
    /// The plan of a seed for so many managers. Without a family, kills.
    pub fn new(seed: u64, families: &[Family], managers: usize) -> Self {
        let families = match families {
            [] => vec![Family::Kill],
            some => some.to_vec(),
        };
        Plan {
            dice: Dice::new(seed).fork(1),
            families,
            managers,
            blind: 0,
        }
    }

    fn victims(&mut self) -> Victims {
        match self.dice.below(20) {
            0..10 => Victims::Leader,
            10..16 => Victims::Follower,
            16..18 => {
                let most = self.managers.saturating_sub(1).max(2);
                Victims::Several(2 + self.dice.place(most - 1))
            }
            _ => Victims::All,
        }
    }

    fn settle(&mut self) -> Settle {
        if self.blind < BLIND_IN_A_ROW && self.dice.percent(30) {
            self.blind += 1;
            return Settle::Blind(self.dice.millis(0..=400));
        }
        self.blind = 0;
        Settle::Write(self.dice.millis(0..=500))
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let family = self.families[self.dice.place(self.families.len())];
        let roll = self.dice.roll();
        let one = match self.dice.percent(70) {
            true => Victims::Leader,
            false => Victims::Follower,
        };
        let (fault, victims, outage) = match family {
            Family::Kill => (Fault::Kill, self.victims(), self.dice.millis(0..=600)),
            // Twice the longest lease there is a setting for, and more.
            Family::Stop => (Fault::Stop, one, self.dice.millis(300..=2500)),
            Family::Cut => {
                let direction = match self.dice.below(4) {
                    0 => Direction::Deaf,
                    1 => Direction::Mute,
                    _ => Direction::Both,
                };
                (Fault::Cut(direction), one, self.dice.millis(300..=3500))
            }
        };
        Some(Step {
            fault,
            victims,
            roll,
            outage,
            stagger: self.dice.millis(0..=300),
            settle: self.settle(),
        })
    }
}

impl Step {
    /// The victims by their place among the managers, in the order in which they come back.
    pub fn resolve(&self, leader: Option<usize>, managers: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..managers).collect();
        let place = |len: usize| Dice::new(self.roll).place(len);
        match self.victims {
            Victims::Leader => vec![leader.unwrap_or_else(|| place(managers))],
            Victims::Follower => {
                let others: Vec<usize> = all.into_iter().filter(|n| Some(*n) != leader).collect();
                others
                    .get(place(others.len()))
                    .copied()
                    .into_iter()
                    .collect()
            }
            Victims::Several(count) => {
                let from = place(managers);
                let turned = (0..managers).map(|n| (from + n) % managers.max(1));
                turned.take(count).collect()
            }
            Victims::All => {
                let from = place(managers);
                (0..managers)
                    .map(|n| (from + n) % managers.max(1))
                    .collect()
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Kill => "kill",
            Fault::Stop => "stop",
            Fault::Cut(Direction::Both) => "cut off",
            Fault::Cut(Direction::Deaf) => "deafen",
            Fault::Cut(Direction::Mute) => "mute",
        };
        let whom = match self.victims {
            Victims::Leader => "the leader".to_owned(),
            Victims::Follower => "a follower".to_owned(),
            Victims::Several(count) => format!("{count} managers"),
            Victims::All => "all managers".to_owned(),
        };
        write!(f, "{what} {whom} for {} ms", self.outage.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(seed: u64) -> Vec<Step> {
        let families = [Family::Kill, Family::Stop, Family::Cut];
        Plan::new(seed, &families, 3).take(500).collect()
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(steps(5), steps(5));
        assert_ne!(steps(5), steps(6));
    }

    #[test]
    fn every_kind_of_victim_has_its_turn() {
        let steps: Vec<Step> = Plan::new(1, &[], 3).take(200).collect();
        for victims in [
            Victims::Leader,
            Victims::Follower,
            Victims::Several(2),
            Victims::All,
        ] {
            assert!(steps.iter().any(|s| s.victims == victims), "{victims:?}");
        }
    }

    #[test]
    fn writes_are_waited_for_often_enough() {
        let mut blind = 0;
        for step in steps(9) {
            match step.settle {
                Settle::Blind(_) => blind += 1,
                Settle::Write(_) => blind = 0,
            }
            assert!(blind <= BLIND_IN_A_ROW);
        }
    }

    #[test]
    fn victims_are_different_managers_that_exist() {
        for step in steps(2) {
            for leader in [None, Some(0), Some(2)] {
                let mut victims = step.resolve(leader, 3);
                assert!(!victims.is_empty() && victims.iter().all(|n| *n < 3));
                let count = victims.len();
                victims.sort_unstable();
                victims.dedup();
                assert_eq!(victims.len(), count);
                match step.victims {
                    Victims::Leader => assert!(leader.is_none() || victims == [leader.unwrap()]),
                    Victims::Follower => assert!(!victims.iter().any(|n| Some(*n) == leader)),
                    Victims::Several(_) | Victims::All => {}
                }
            }
        }
    }
}
