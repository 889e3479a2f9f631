//! Whether a step from a manager is taken. Pure.

use crate::desired::Desired;
use weft_proto::assignment::Assignments;

/// What to do with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leads on from what is known.
    Take,
    /// It is older than what is known and changes nothing.
    Ignore,
    /// The manager lags behind what another one said: state never goes back, so ask another.
    Behind,
    /// It changes something this session never said: only a new session helps.
    OutOfOrder,
}

/// Judges a step. `begun`: this session's snapshot was taken.
pub fn judge(present: &Desired, step: &Assignments, begun: bool) -> Verdict {
    let older = step.revision < present.revision;
    match (step.snapshot, begun) {
        (true, _) if older => Verdict::Behind,
        (true, _) => Verdict::Take,
        (false, true) if older => Verdict::Ignore,
        (false, true) => Verdict::Take,
        (false, false) => Verdict::OutOfOrder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::desired;

    #[test]
    fn state_never_goes_back() {
        let present = desired(5, []);
        let judge = |revision, snapshot, begun| {
            let step = Assignments {
                revision,
                snapshot,
                upserts: vec![],
                removals: vec![],
                managers: vec![],
            };
            super::judge(&present, &step, begun)
        };
        assert_eq!(judge(5, true, false), Verdict::Take);
        assert_eq!(judge(6, true, true), Verdict::Take);
        assert_eq!(judge(4, true, false), Verdict::Behind);
        assert_eq!(judge(6, false, true), Verdict::Take);
        assert_eq!(judge(5, false, true), Verdict::Take);
        assert_eq!(judge(4, false, true), Verdict::Ignore);
        assert_eq!(judge(6, false, false), Verdict::OutOfOrder);
    }
}
