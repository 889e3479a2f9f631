//! What clients did and were told, from the first to the last operation.

use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// What was asked of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Make it, with this value.
    Create(u64),
    /// Give it this value, whatever it has.
    Write(u64),
    /// Give it `value` if its version is `version`, at which it had the value `expect`.
    Swap {
        /// The version it must have.
        version: u64,
        /// The value of that version.
        expect: u64,
        /// Its next value.
        value: u64,
    },
    /// Tell it.
    Read,
}

impl Action {
    /// The value it brings. Values are unique in a run, so a value tells who wrote it.
    pub fn value(&self) -> Option<u64> {
        match *self {
            Action::Create(value) | Action::Write(value) | Action::Swap { value, .. } => {
                Some(value)
            }
            Action::Read => None,
        }
    }
}

/// A value with the version the store gave it: the number of its log entry, so versions are in
/// the order in which everything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The value.
    pub value: u64,
    /// Its version.
    pub version: u64,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A write was acknowledged.
    Done,
    /// A read was answered.
    Read(Seen),
    /// A swap was told that the version is another one.
    Mismatch,
    /// Certainly without effect: refused, or never sent.
    Failed,
    /// No answer, or one that leaves it open.
    Unknown,
}

/// An operation and its end. Times are nanoseconds since the beginning of the run, of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// Which manager, by its place.
    pub node: usize,
    /// Which register, by its number.
    pub key: u32,
    /// What was asked.
    pub action: Action,
    /// Before it was sent.
    pub invoked: u64,
    /// After the answer came.
    pub returned: u64,
    /// What it said.
    pub outcome: Outcome,
    /// The revision of the state that a read shows; 0 for everything else.
    #[serde(default)]
    pub revision: u64,
    /// How often it was sent.
    #[serde(default)]
    pub sent: u32,
}

/// The clock of a run and what was taken down. Clones are the same recorder.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    operations: Mutex<Vec<Operation>>,
    acknowledged: AtomicU64,
    waited: Mutex<Waited>,
}

/// One wait for a write after a moment.
#[derive(Debug, Default)]
struct Waited {
    since: u64,
    first: Option<u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder(Arc::new(Inner {
            start: Instant::now(),
            operations: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            waited: Mutex::default(),
        }))
    }
}

impl Recorder {
    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes an operation down.
    pub fn add(&self, operation: Operation) {
        if operation.outcome == Outcome::Done {
            self.0.acknowledged.fetch_add(1, Ordering::Relaxed);
            let mut waited = self.0.waited.lock();
            if operation.invoked >= waited.since {
                let first = waited.first.unwrap_or(u64::MAX);
                waited.first = Some(first.min(operation.returned));
            }
        }
        self.0.operations.lock().push(operation);
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Ordering::Relaxed)
    }

    /// From now on, the first acknowledged write that was asked for at `since` or later is noted.
    pub fn mark(&self, since: u64) {
        *self.0.waited.lock() = Waited { since, first: None };
    }

    /// How long after the mark the first write was acknowledged that had been asked for after it.
    pub fn first_after_mark(&self) -> Option<Duration> {
        let waited = self.0.waited.lock();
        let first = waited.first?;
        Some(Duration::from_nanos(first.saturating_sub(waited.since)))
    }

    /// All that was taken down so far.
    pub fn operations(&self) -> Vec<Operation> {
        self.0.operations.lock().clone()
    }
}

/// Writes operations as lines of JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write_lines(operations: &[Operation], to: &mut dyn Write) -> io::Result<()> {
    for operation in operations {
        serde_json::to_writer(&mut *to, operation)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}
