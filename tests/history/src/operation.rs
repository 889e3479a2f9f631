//! One operation on one register, from its invocation to its answer.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Who asked. A client has one operation under way at a time, unless it gave up on the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u32);

/// An operation's number, unique in one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u64);

/// What a register holds; `None`: there is no such object.
pub type Value = Option<String>;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Tell the value.
    Read,
    /// Make it this value, whatever it was.
    Write(Value),
    /// Make it `new` if it is `expect`, else leave it.
    Cas {
        /// The value it must have.
        expect: Value,
        /// The value it gets.
        new: Value,
    },
}

/// How it ended, as far as the client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A write, or a compare-and-set that found what it expected, was acknowledged.
    Done,
    /// A read was answered.
    Read(Value),
    /// A compare-and-set was told that the value was another one. It saw the state and left it.
    Mismatch,
    /// Refused for certain: it never had and never will have an effect.
    Failed,
    /// No answer: it may have an effect at any time after it was asked for, or never.
    Unknown,
}

/// An operation and its end. Times are of one monotonic clock for all clients; the unit is the
/// recorder's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number.
    pub id: OpId,
    /// Who asked.
    pub client: ClientId,
    /// Which register.
    pub key: String,
    /// What was asked.
    pub action: Action,
    /// Before it could have had an effect.
    pub invoked: u64,
    /// After its effect was certain; `None`: it never ended, and `outcome` is unknown.
    pub returned: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op {} of client {}: ", self.id.0, self.client.0)?;
        match &self.action {
            Action::Read => write!(f, "read {}", self.key)?,
            Action::Write(value) => write!(f, "write {} := {}", self.key, Shown(value))?,
            Action::Cas { expect, new } => {
                let (expect, new) = (Shown(expect), Shown(new));
                write!(f, "cas {} {expect} -> {new}", self.key)?;
            }
        }
        match &self.outcome {
            Outcome::Done => write!(f, " done")?,
            Outcome::Read(value) => write!(f, " = {}", Shown(value))?,
            Outcome::Mismatch => write!(f, " mismatch")?,
            Outcome::Failed => write!(f, " failed")?,
            Outcome::Unknown => write!(f, " unknown")?,
        }
        match self.returned {
            Some(returned) => write!(f, " [{}..{returned}]", self.invoked),
            None => write!(f, " [{}..", self.invoked),
        }
    }
}

/// A value for people.
pub(crate) struct Shown<'a>(pub(crate) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:?}"),
            None => write!(f, "nothing"),
        }
    }
}
