//! Silences a leader that nobody answers.
//!
//! A leader whose messages arrive but who hears no reply would renew its followers' leases for
//! ever, and no successor could be elected. openraft's own probe holds back heartbeats only,
//! while retries of unacknowledged entries keep renewing the leases; this holds back both, in
//! turns, so that a leader whose replies come back finds out.

use crate::status::RaftStatus;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Whether append messages may leave this member.
#[derive(Debug)]
pub(crate) struct Gate {
    status: watch::Receiver<RaftStatus>,
    /// The term this member was last seen leading in, and since when: a leader that never had
    /// an answer counts from there.
    office: Mutex<Option<(u64, Instant)>>,
}

impl Gate {
    pub(crate) fn new(status: watch::Receiver<RaftStatus>) -> Self {
        Gate {
            status,
            office: Mutex::new(None),
        }
    }

    pub(crate) fn is_open(&self, now: Instant) -> bool {
        let status = self.status.borrow();
        let alone = status.voters.iter().all(|id| *id == status.me.raft_id);
        if !status.is_leader || alone {
            return true;
        }
        let mut office = self.office.lock();
        let since = match *office {
            Some((term, since)) if term == status.term => since,
            Some(_) | None => {
                *office = Some((status.term, now));
                now
            }
        };
        let heard = status.quorum_acked.map_or(since, |acked| acked.max(since));
        open_after(now.saturating_duration_since(heard), status.lease)
    }
}

/// Open for one lease, then two leases quiet (the lease of the followers, and their election
/// timeout), two leases open, and so on. Pure.
fn open_after(silence: Duration, lease: Duration) -> bool {
    let Some(over) = silence.checked_sub(lease) else {
        return true;
    };
    let turn = over.as_nanos() / (lease * 2).as_nanos().max(1);
    turn % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_hears_nobody_is_quiet_in_turns() {
        let lease = Duration::from_millis(100);
        let open = |ms| open_after(Duration::from_millis(ms), lease);
        assert!(open(0) && open(99), "within the lease");
        assert!(!open(100) && !open(299), "two leases quiet");
        assert!(open(300) && open(499), "two leases open");
        assert!(!open(500), "and so on");
    }
}
