//! Slots: how the connections to one published port are dealt to its tasks.

use std::net::SocketAddrV4;

/// Sizes of the slot maps. Their divisors are the numbers of tasks that share exactly: 1 to 4, 6
/// and 12 of the first, 5 and 10 of the second, 7 and 8 of the last.
pub(super) const CLASSES: [u32; 3] = [12, 60, 840];

/// The least class that this many backends share exactly; the greatest when there is none, where
/// backends differ by one slot at most.
pub(super) fn class(backends: usize) -> u32 {
    let shares = |class: &u32| {
        u32::try_from(backends).is_ok_and(|count| count > 0 && class.is_multiple_of(count))
    };
    let [.., greatest] = CLASSES;
    CLASSES.into_iter().find(shares).unwrap_or(greatest)
}

/// Which slot leads where; nothing without backends.
pub(super) fn deal(backends: &[SocketAddrV4]) -> impl Iterator<Item = (u32, SocketAddrV4)> {
    (0..class(backends.len())).zip(backends.iter().copied().cycle())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    fn shares(count: u8) -> BTreeMap<SocketAddrV4, u32> {
        let backends: Vec<_> = (0..count)
            .map(|n| SocketAddrV4::new(Ipv4Addr::new(10, 255, 1, n), 80))
            .collect();
        let mut shares = BTreeMap::new();
        for (_, to) in deal(&backends) {
            *shares.entry(to).or_default() += 1;
        }
        shares
    }

    #[test]
    fn up_to_eight_backends_share_exactly_and_more_differ_by_one_slot() {
        for count in 1..=40 {
            let shares = shares(count);
            assert_eq!(shares.len(), usize::from(count));
            let (most, least) = (shares.values().max(), shares.values().min());
            let difference = most.unwrap() - least.unwrap();
            assert!(difference <= u32::from(count > 8), "{count}: {difference}");
        }
    }

    #[test]
    fn a_port_without_backends_has_no_slots() {
        assert_eq!(shares(0).len(), 0);
    }
}
