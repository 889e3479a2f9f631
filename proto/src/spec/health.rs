//! What says whether a task does what it is there for.

use serde::Deserialize;
use serde::Serialize;
use std::num::NonZeroU32;
use std::time::Duration;

/// A command that is run in the task again and again: by exit code 0 it says that the task is
/// healthy. A task gets traffic only once it was, and ends as failed when it is not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Program and arguments; never empty. Run as the task's own command is.
    pub command: Vec<String>,
    /// Between two checks that count.
    pub interval: Duration,
    /// How long one may take; longer is a failure.
    pub timeout: Duration,
    /// So many failures in a row make a task unhealthy.
    pub retries: NonZeroU32,
    /// How long after its start failures do not count, unless it was healthy before.
    pub start_period: Duration,
}
