//! Which manager to try next, and after what pause. Pure but for the random source handed in.

use rand::Rng;
use rand::seq::SliceRandom;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// After a session that worked the next one begins within this: long enough that the agents of a
/// dead manager do not all arrive at once, short enough that nobody waits.
const SPREAD: Duration = Duration::from_millis(100);
/// Pause after the first failed try; doubled up to `MAX`. Half of each is random.
const MIN: Duration = Duration::from_millis(100);
const MAX: Duration = Duration::from_secs(3);

/// The managers of the cluster, as far as this node knows.
#[derive(Clone, Debug)]
pub struct Managers {
    preferred: Option<SocketAddr>,
    configured: Vec<SocketAddr>,
    told: Vec<SocketAddr>,
    queue: VecDeque<SocketAddr>,
    failures: u32,
}

impl Managers {
    /// Starts with what the configuration says. `preferred` comes first in every cycle: on a
    /// manager, its own address.
    pub fn new(configured: Vec<SocketAddr>, preferred: Option<SocketAddr>) -> Self {
        Managers {
            preferred,
            configured,
            told: Vec::new(),
            queue: VecDeque::new(),
            failures: 0,
        }
    }

    /// Takes over the managers that a manager named. An empty list says nothing.
    pub fn learn(&mut self, told: &[SocketAddr]) {
        if told.is_empty() || told == self.told {
            return;
        }
        self.told = told.to_vec();
        let stale: Vec<_> = self.queue.drain(..).collect();
        let known = self.known();
        self.queue
            .extend(stale.into_iter().filter(|addr| known.contains(addr)));
    }

    /// All of them, those named by a manager first; the configured ones stay as a last resort.
    pub fn known(&self) -> Vec<SocketAddr> {
        let mut known = Vec::new();
        let all = self
            .preferred
            .iter()
            .chain(&self.told)
            .chain(&self.configured);
        for addr in all {
            if !known.contains(addr) {
                known.push(*addr);
            }
        }
        known
    }

    /// The next to try. Each is tried once before any is tried again; the order is random, so
    /// that agents spread.
    pub fn next(&mut self, rng: &mut impl Rng) -> Option<SocketAddr> {
        if self.queue.is_empty() {
            self.refill(None, rng);
        }
        self.queue.pop_front()
    }

    /// A session with `addr` worked and then ended: begins a new cycle in which it comes last,
    /// and says how long to pause.
    pub fn lost(&mut self, addr: SocketAddr, rng: &mut impl Rng) -> Duration {
        self.failures = 0;
        self.refill(Some(addr), rng);
        SPREAD.mul_f64(rng.random())
    }

    /// No session came about: says how long to pause.
    pub fn failed(&mut self, rng: &mut impl Rng) -> Duration {
        let pause = MAX.min(MIN * 2_u32.pow(self.failures.min(10)));
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(rng.random_range(0.5..1.0))
    }

    fn refill(&mut self, last: Option<SocketAddr>, rng: &mut impl Rng) {
        let known = self.known();
        let rank = |addr: &SocketAddr| {
            if Some(*addr) == last {
                3
            } else if Some(*addr) == self.preferred {
                0
            } else if self.told.contains(addr) || self.told.is_empty() {
                1
            } else {
                2
            }
        };
        let mut order = known;
        order.shuffle(rng);
        order.sort_by_key(rank);
        self.queue = order.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::collections::BTreeSet;

    fn addr(n: u16) -> SocketAddr {
        ([192, 0, 2, 1], n).into()
    }

    fn rng(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    #[test]
    fn agents_begin_with_different_managers_and_try_each_before_any_again() {
        let mut firsts = BTreeSet::new();
        for seed in 0..50 {
            let mut rng = rng(seed);
            let mut managers = Managers::new(vec![addr(1), addr(2), addr(3)], None);
            let cycle: Vec<_> = (0..3).filter_map(|_| managers.next(&mut rng)).collect();
            assert_eq!(BTreeSet::from_iter(&cycle).len(), 3);
            firsts.insert(cycle[0]);
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn a_managers_own_agent_begins_with_itself() {
        let mut managers = Managers::new(vec![addr(1), addr(2)], Some(addr(2)));
        assert_eq!(managers.next(&mut rng(0)), Some(addr(2)));
    }

    #[test]
    fn a_lost_manager_comes_last() {
        for seed in 0..20 {
            let mut rng = rng(seed);
            let mut managers = Managers::new(vec![addr(1), addr(2), addr(3)], Some(addr(1)));
            assert!(managers.lost(addr(1), &mut rng) <= SPREAD);
            let order: Vec<_> = (0..3).filter_map(|_| managers.next(&mut rng)).collect();
            assert_eq!(order[2], addr(1));
        }
    }

    #[test]
    fn the_configured_managers_stay_as_a_last_resort() {
        let mut rng = rng(0);
        let mut managers = Managers::new(vec![addr(1)], None);
        managers.learn(&[addr(2), addr(3)]);
        managers.learn(&[]);
        let order: Vec<_> = (0..3).filter_map(|_| managers.next(&mut rng)).collect();
        assert_eq!(order[2], addr(1));
    }

    #[test]
    fn pauses_grow_to_three_seconds_and_begin_anew_after_a_session() {
        let mut rng = rng(0);
        let mut managers = Managers::new(vec![addr(1)], None);
        assert!(managers.failed(&mut rng) <= MIN);
        for _ in 0..20 {
            let pause = managers.failed(&mut rng);
            assert!(pause <= MAX, "{pause:?}");
        }
        assert!(managers.failed(&mut rng) >= MAX / 2);
        managers.lost(addr(1), &mut rng);
        assert!(managers.failed(&mut rng) <= MIN);
    }
}
