//! Sessions with agents: each node is told its part of the state, and says what came of it.
//!
//! Runs on every manager, from its own replica. A session carries a snapshot, then deltas, each
//! with the revision that the agent knows its part of afterwards; back come heartbeats, statuses of
//! tasks, and output of tasks that somebody reads.

mod assignment;
mod certificates;
mod describe;
mod double;
mod feed;
mod news;
mod presence;
mod report;
mod reporter;
mod server;
mod session;
mod standing;
mod trail;

#[cfg(test)]
pub(crate) mod tests;

pub use assignment::assignments_for;
pub use assignment::diff;
pub use presence::Presence;
pub use server::Dispatcher;
pub use server::Parts;

use std::time::Duration;

/// The pace of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often an agent must be heard. After three of these in silence its session ends, so that
    /// one lost packet and one slow write do not move tasks.
    pub heartbeat: Duration,
    /// How long an agent has to introduce itself.
    pub hello: Duration,
    /// The least time between two looks at the state for one session: a burst of changes becomes
    /// one delta.
    pub look: Duration,
    /// How long a revision that changed nothing for the node may stay untold: whoever waits for
    /// everybody to know a revision waits that long.
    pub progress: Duration,
    /// How long reports of all sessions are gathered before they are proposed together.
    pub gather: Duration,
    /// The wait before reports are proposed again after there was no leader.
    pub retry: Duration,
    /// How long an agent goes on before it is believed that a node that is there has another name
    /// or place now: longer than it takes to find a second machine with its identity, at whichever
    /// manager.
    pub probation: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            heartbeat: Duration::from_secs(1),
            hello: Duration::from_secs(5),
            look: Duration::from_millis(20),
            progress: Duration::from_millis(500),
            gather: Duration::from_millis(15),
            retry: Duration::from_millis(250),
            probation: Duration::from_secs(3),
        }
    }
}
