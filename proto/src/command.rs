//! The log entry: the only thing that changes the cluster's state.

use crate::audit::Actor;
use crate::audit::AuditRecord;
use crate::id::CommandId;
use crate::object::Object;
use crate::object::ObjectKey;
use crate::object::RemovedNode;
use crate::time::Timestamp;

/// What must hold of the object as it is in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: make it, or replace whatever is there.
    Any,
    /// There is no such object.
    Absent,
    /// It is there in exactly this version.
    Version(u64),
}

/// One change of a transaction.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every change is a put: a box would cost an allocation and save nothing"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make or replace an object.
    Put {
        /// The object as it should be.
        object: Object,
        /// What must hold of it now.
        expect: Expect,
    },
    /// Remove an object. With `Expect::Any` an absent one is fine.
    Delete {
        /// Which.
        key: ObjectKey,
        /// What must hold of it now.
        expect: Expect,
    },
    /// Change nothing, but refuse the transaction unless this holds.
    Guard {
        /// Of which object.
        key: ObjectKey,
        /// What must hold of it now.
        expect: Expect,
    },
}

impl Change {
    /// Makes a new object; refused if it is there.
    pub fn create(object: impl Into<Object>) -> Change {
        Change::Put {
            object: object.into(),
            expect: Expect::Absent,
        }
    }

    /// Replaces an object that was read; refused if it changed since.
    pub fn update(object: impl Into<Object>) -> Change {
        let object = object.into();
        let expect = Expect::Version(object.meta().version);
        Change::Put { object, expect }
    }

    /// Removes an object that was read; refused if it changed since.
    pub fn remove(object: impl Into<Object>) -> Change {
        let object = object.into();
        Change::Delete {
            key: object.key(),
            expect: Expect::Version(object.meta().version),
        }
    }
}

/// A transaction: applied as a whole on every replica, or refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// A command proposed twice is applied once.
    pub id: CommandId,
    /// Stamped by the proposer; `apply` has no clock.
    pub at: Timestamp,
    /// In order.
    pub changes: Vec<Change>,
    /// Who causes it; `None`: the cluster itself.
    pub actor: Option<Actor>,
}

/// Why a transaction was refused. Nothing of it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// An object changed since it was read: read again, decide again.
    Version,
    /// An object that should be new is there.
    Exists,
    /// An object that should be there is gone.
    Missing,
    /// A name, port, address or number belongs to another object.
    Taken,
    /// The object breaks a rule of the state.
    Invalid,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Conflict {
    /// What kind of refusal.
    pub kind: ConflictKind,
    /// For people: what is in the way.
    pub message: String,
}

/// What became of a command: the revision at which it was applied, or why not.
pub type CommandResult = Result<u64, Conflict>;

/// A command that was applied lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedCommand {
    /// Which.
    pub id: CommandId,
    /// When its proposer decided it.
    pub at: Timestamp,
    /// What became of it.
    pub result: CommandResult,
}

/// The whole state, as written down and sent to managers that are far behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSnapshot {
    /// The log index it is at.
    pub revision: u64,
    /// All objects.
    pub objects: Vec<Object>,
    /// Commands applied lately, oldest first, so that a retried one is recognised.
    pub recent: Vec<AppliedCommand>,
    /// Nodes that were members once, oldest first.
    pub removed: Vec<RemovedNode>,
    /// Who did what, oldest first.
    pub audit: Vec<AuditRecord>,
}
