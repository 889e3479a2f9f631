//! A member whose disk went back to an earlier state: it has forgotten what it acknowledged.
//!
//! No file of its own can tell. The leader can: it remembers, for as long as it leads, what each
//! follower has acknowledged, and says so when it opens a stream to it. A follower that has less stops
//! for good, as with any damage of its disk: it must not vote again under its old number. (What
//! nobody remembers is not noticed: a member that is set back and meets a leader elected since.)

use crate::member::RaftId;
use crate::types::LogId;
use crate::types::Vote;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

/// Says that this directory's member must not take part any more.
const MARK: &str = "set-back";

/// What followers acknowledged to this member as a leader: the index of the last entry, in which
/// office.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged(Mutex<BTreeMap<RaftId, (Vote, u64)>>);

impl Acknowledged {
    /// A follower's disk has the log up to `index`.
    pub(crate) fn note(&self, follower: RaftId, office: Vote, index: u64) {
        let mut known = self.0.lock();
        let (of, last) = known.entry(follower).or_insert((office, index));
        *last = if *of == office {
            index.max(*last)
        } else {
            index
        };
        *of = office;
    }

    /// What it has acknowledged in this office.
    pub(crate) fn by(&self, follower: RaftId, office: Vote) -> Option<u64> {
        // In a simulation disks that forget are the others' business to find.
        #[cfg(feature = "sim")]
        if crate::sim::is_on() {
            return None;
        }
        let known = self.0.lock();
        let (of, last) = known.get(&follower)?;
        (*of == office).then_some(*last)
    }
}

/// Whether a member has forgotten what it acknowledged to the leader of `office`: its own vote, the
/// last entry it has, in the log or in a snapshot.
///
/// Entries that were acknowledged to a leader stay until a later one replaces them, whose vote is on
/// the disk by then.
pub(crate) fn has_forgotten(
    vote: Option<Vote>,
    last: Option<LogId>,
    office: Vote,
    acknowledged: Option<u64>,
) -> bool {
    let current = vote.is_none_or(|vote| office >= vote);
    acknowledged.is_some_and(|index| current && last.is_none_or(|last| last.index < index))
}

/// Makes sure that this directory is never used again.
pub(crate) fn mark(dir: &Path) -> io::Result<()> {
    File::create(dir.join(MARK))?.sync_all()?;
    File::open(dir)?.sync_all()
}

pub(crate) fn is_marked(dir: &Path) -> bool {
    dir.join(MARK).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LeaderId;

    fn office(term: u64) -> Vote {
        Vote {
            leader_id: LeaderId {
                term,
                node_id: RaftId(1),
            },
            committed: true,
        }
    }

    #[test]
    fn what_was_acknowledged_counts_in_the_same_office_only_and_never_goes_back() {
        let known = Acknowledged::default();
        assert_eq!(known.by(RaftId(2), office(1)), None);
        known.note(RaftId(2), office(1), 7);
        known.note(RaftId(2), office(1), 5);
        assert_eq!(known.by(RaftId(2), office(1)), Some(7));
        assert_eq!(known.by(RaftId(2), office(2)), None);
        assert_eq!(known.by(RaftId(3), office(1)), None);
        known.note(RaftId(2), office(2), 3);
        assert_eq!(known.by(RaftId(2), office(2)), Some(3));
    }

    #[test]
    fn a_member_has_forgotten_when_its_log_ends_before_what_this_leader_knows() {
        let last = |index| {
            Some(LogId {
                leader_id: office(1).leader_id,
                index,
            })
        };
        let mine = Some(office(2));
        assert!(has_forgotten(mine, last(6), office(2), Some(7)));
        assert!(has_forgotten(None, None, office(2), Some(0)));
        assert!(!has_forgotten(mine, last(7), office(2), Some(7)));
        assert!(!has_forgotten(mine, last(6), office(2), None));
        // A later leader may have replaced what an earlier one wrote.
        assert!(!has_forgotten(Some(office(3)), last(6), office(2), Some(7)));
    }
}
