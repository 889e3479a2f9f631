//! When the next run of a job begins.

use weft_proto::object::JobRun;
use weft_proto::spec::Schedule;
use weft_proto::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// Not before this moment.
    At(Timestamp),
    /// The next run begins now. Times that were missed meanwhile are made up for by this one.
    Begin,
    /// Its time has come while the present run goes on: passed over.
    Skip,
    /// There is no next time.
    Never,
}

/// What the schedule says at `now`; `over`: the present run has ended.
pub(super) fn tick(schedule: &Schedule, run: JobRun, over: bool, now: Timestamp) -> Tick {
    let last = run.skipped.map_or(run.started, |at| at.max(run.started));
    match schedule.next_after(last) {
        None => Tick::Never,
        Some(at) if at > now => Tick::At(at),
        Some(_) if over => Tick::Begin,
        Some(_) => Tick::Skip,
    }
}
