//! Slots: how new connections to one address or port are dealt to its tasks. A map leads from the
//! slot, drawn for each connection, to the task.

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
/// slots that do not divide evenly.
pub fn deal<B: Copy>(backends: &[B], turn: usize) -> impl Iterator<Item = (u32, B)> {
    let start = turn.checked_rem(backends.len()).unwrap_or_default();
    (0..class(backends.len())).zip(backends.iter().copied().cycle().skip(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn shares(count: usize, turn: usize) -> BTreeMap<usize, u32> {
        let backends: Vec<_> = (0..count).collect();
        let mut shares = BTreeMap::new();
        for (_, to) in deal(&backends, turn) {
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

    #[test]
    fn without_backends_there_are_no_slots() {
        assert_eq!(shares(0, 1).len(), 0);
    }
}
