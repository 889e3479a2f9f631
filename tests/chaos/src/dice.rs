//! Chance that is the same for the same seed, today and in ten years.

use std::ops::RangeInclusive;
use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014). Our own few lines and not a library's generator, whose
/// numbers may change between versions: a seed in a report must mean the same run for ever.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A sequence of its own for somebody: what one does must not shift what another one rolls.
    pub fn fork(&self, who: u64) -> Self {
        let mut own = Dice(self.0 ^ who.wrapping_mul(0xA24B_AED4_963E_E407));
        own.roll();
        own
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    /// A place in a list of `len`; 0 when it is empty.
    pub fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A time within these bounds, in milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        let width = range.end().saturating_sub(*range.start()) + 1;
        Duration::from_millis(range.start() + self.below(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        let mut dice = Dice::new(0);
        assert_eq!(dice.roll(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(dice.roll(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn whoever_forks_rolls_his_own_numbers() {
        let dice = Dice::new(7);
        assert_ne!(dice.fork(1).roll(), dice.fork(2).roll());
        assert_eq!(dice.fork(1).roll(), dice.fork(1).roll());
    }

    #[test]
    fn times_stay_within_their_bounds() {
        let mut dice = Dice::new(3);
        for _ in 0..1000 {
            let time = dice.millis(5..=9).as_millis();
            assert!((5..=9).contains(&time));
        }
    }
}
