//! Chance from a seed.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Chance that a seed decides. Clones throw the same dice; [`Dice::fork`] makes others, so that
/// what one part of a run throws does not depend on how often another does.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<u64>>);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(Arc::new(Mutex::new(seed)))
    }

    /// Dice of their own, the next ones that these lead to.
    #[must_use]
    pub fn fork(&self) -> Dice {
        Dice::new(self.bits())
    }

    /// 64 bits (SplitMix64).
    pub fn bits(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0. The bias is one in 2^40 for what is asked here.
    pub fn below(&self, end: u64) -> u64 {
        self.bits().checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub fn between(&self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True so many times in a thousand.
    pub fn per_mille(&self, times: u64) -> bool {
        self.below(1000) < times
    }

    /// One of them.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::try_from(self.below(from.len() as u64)).unwrap_or(0))
    }

    /// A duration of so many milliseconds, and some microseconds, so that things seldom happen at
    /// the very same time.
    pub fn millis(&self, first: u64, last: u64) -> Duration {
        Duration::from_micros(self.between(first * 1000, last * 1000))
    }
}
