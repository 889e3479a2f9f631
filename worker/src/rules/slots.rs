//! Slots: how new connections to one address or port are dealt to its tasks. A map leads from the
//! slot to the task; connections take the slots in turn, so a hundred of them reach every task
//! evenly, and not only on average.
//!
//! A rule has one counter for all addresses behind it. So the slots of each address are shuffled,
//! by each caller in another way: else two services called by turns would see only every other slot,
//! and the first connections of many callers would all go to the same task.

/// Sizes of the slot maps. Their divisors are the numbers of tasks that share exactly: 1 to 4, 6
/// and 12 of the first, 5 and 10 of the second, 7 and 8 of the last.
pub const CLASSES: [u32; 3] = [12, 60, 840];

/// Above eight backends shares need not be exactly equal; each has at least this many slots where
/// it can, so that the luckiest has at most a fifth more than the unluckiest.
const FAIR_SHARE: usize = 5;

/// How many slots this many backends share: the fewest that are fair.
pub fn class(backends: usize) -> u32 {
    let fair = |class: &u32| {
        usize::try_from(*class).is_ok_and(|slots| {
            slots % backends.max(1) == 0 || backends > 8 && slots / backends >= FAIR_SHARE
        })
    };
    let [.., largest] = CLASSES;
    CLASSES.into_iter().find(fair).unwrap_or(largest)
}

/// Which slot leads where; nothing without backends. `turn` says who of too many backends has the
/// slots that do not divide evenly; with `of`, the address or port as a number, it also says in
/// which order the slots go round.
pub fn deal<B: Copy>(backends: &[B], turn: usize, of: u128) -> impl Iterator<Item = (u32, B)> {
    let start = turn.checked_rem(backends.len()).unwrap_or_default();
    let slots = shuffled(class(backends.len()), turn as u128 ^ of.rotate_left(64));
    slots
        .into_iter()
        .zip(backends.iter().copied().cycle().skip(start))
}

/// Callers that go round 2, 3 or 6 services see every second, third or sixth slot of each.
const STRIDES: u32 = 6;

/// The numbers below `count` in an order that `seed` decides: the same in every daemon, so that
/// one that starts again changes nothing. Numbers of equal remainder stay together, so that each
/// backend has its share of every stride.
fn shuffled(count: u32, seed: u128) -> Vec<u32> {
    let [low, high] = [seed, seed >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)));
    let mut state = low.unwrap_or_default() ^ mixed(high.unwrap_or_default());
    let mut draw = |room: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        usize::try_from(mixed(state) % room).unwrap_or_default()
    };
    // Each remainder beside the one that shares its remainder by three.
    let mut thirds = [0, 1, 2];
    shuffle(&mut thirds, &mut draw);
    let strides = thirds.into_iter().flat_map(|third| {
        let mut pair = [third, third + STRIDES / 2];
        shuffle(&mut pair, &mut draw);
        pair.map(|remainder| {
            let step = usize::try_from(STRIDES).unwrap_or(1);
            let mut slots: Vec<u32> = (remainder..count).step_by(step).collect();
            shuffle(&mut slots, &mut draw);
            slots
        })
    });
    strides.flatten().collect()
}

/// Fisher and Yates's shuffle.
fn shuffle(slots: &mut [u32], draw: &mut impl FnMut(usize) -> usize) {
    for last in (1..slots.len()).rev() {
        slots.swap(last, draw(last + 1));
    }
}

/// The mixing step of SplitMix64 (Steele, Lea, Flood 2014): near numbers become far ones.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    fn shares(count: usize, turn: usize) -> BTreeMap<usize, u32> {
        let backends: Vec<_> = (0..count).collect();
        let mut shares = BTreeMap::new();
        for (_, to) in deal(&backends, turn, 1) {
            *shares.entry(to).or_default() += 1;
        }
        shares
    }

    #[test]
    fn up_to_eight_backends_share_exactly_and_more_share_fairly() {
        for count in 1..=120 {
            let shares = shares(count, 3);
            assert_eq!(shares.len(), count);
            let (least, most) = (shares.values().min(), shares.values().max());
            let (least, spread) = (*least.unwrap(), most.unwrap() - least.unwrap());
            assert!(spread == 0 || count > 8 && least >= 5 && spread == 1);
        }
        let sizes = [4, 5, 7, 12, 2000].map(class);
        assert_eq!(sizes, [12, 60, 840, 12, 840]);
    }

    #[test]
    fn the_turn_says_who_has_the_slots_that_are_left() {
        let most = |turn| {
            let shares = shares(11, turn);
            let most = *shares.values().max().unwrap();
            let lucky = shares.into_iter().filter(|(_, slots)| *slots == most);
            lucky.map(|(backend, _)| backend).collect::<Vec<_>>()
        };
        assert_eq!(most(0), [0, 1, 2, 3, 4]);
        assert_eq!(most(2), [2, 3, 4, 5, 6]);
    }

    /// The backends in the order in which connections reach them.
    fn round(count: usize, turn: usize, of: u128) -> Vec<usize> {
        let backends: Vec<_> = (0..count).collect();
        deal(&backends, turn, of)
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect()
    }

    #[test]
    fn callers_that_go_round_several_services_reach_every_backend_of_each() {
        for (of, stride, offset) in (0..100).flat_map(|of| [(of, 2, 0), (of, 2, 1), (of, 3, 2)]) {
            let strided = |count| round(count, 0, of).into_iter().skip(offset).step_by(stride);
            for count in [2, 3, 5] {
                let seen: BTreeSet<_> = strided(count).collect();
                assert_eq!(seen.len(), count, "address {of}, every {stride}th slot");
            }
        }
    }

    #[test]
    fn the_first_connections_of_many_callers_go_to_different_backends() {
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        for turn in 0..100 {
            *first.entry(round(5, turn, 7)[0]).or_default() += 1;
        }
        assert!(
            first.len() == 5 && first.values().all(|count| *count > 5),
            "{first:?}"
        );
    }

    #[test]
    fn a_daemon_that_starts_again_deals_the_same() {
        assert_eq!(round(7, 3, 9), round(7, 3, 9));
        assert_ne!(round(7, 3, 9), round(7, 3, 10));
    }

    #[test]
    fn without_backends_there_are_no_slots() {
        assert_eq!(shares(0, 1).len(), 0);
    }
}
