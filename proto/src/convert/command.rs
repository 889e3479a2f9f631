//! The log entry and what became of it.

use crate::command::Change;
use crate::command::Command;
use crate::command::CommandResult;
use crate::command::Conflict;
use crate::command::ConflictKind;
use crate::command::Expect;
use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::object;
use crate::object::ObjectKey;
use crate::time::Timestamp;
use crate::wire;
use crate::wire::change::Kind as ChangeKind;
use crate::wire::command_result::Kind as ResultKind;
use crate::wire::expect::Kind as ExpectKind;
use prost::Message;

/// A message out of bytes.
pub(super) fn message<W: Message + Default>(bytes: &[u8]) -> Result<W, ConvertError> {
    W::decode(bytes).map_err(|error| ConvertError::new(format!("is damaged: {error}")))
}

impl Command {
    /// The bytes that the log holds.
    pub fn encode(&self) -> Vec<u8> {
        wire::Command::from(self).encode_to_vec()
    }

    /// A command out of the log's bytes.
    ///
    /// # Errors
    /// The bytes are damaged, or a field cannot be accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConvertError> {
        message::<wire::Command>(bytes)
            .and_then(read)
            .map_err(|error| error.within("command"))
    }
}

impl From<&Command> for wire::Command {
    fn from(command: &Command) -> Self {
        wire::Command {
            id: command.id.to_string(),
            at_ms: command.at.as_millis(),
            changes: command.changes.iter().map(Into::into).collect(),
            actor: command.actor.as_ref().map(Into::into),
        }
    }
}

fn read(wire: wire::Command) -> Result<Command, ConvertError> {
    Ok(Command {
        id: field::parse("id", &wire.id)?,
        at: Timestamp::from_millis(wire.at_ms),
        changes: field::list("changes", wire.changes, read_change)?,
        actor: wire.actor.map(Into::into),
    })
}

door!(Command => Command, read, "command");

impl From<&Change> for wire::Change {
    fn from(change: &Change) -> Self {
        wire::Change {
            kind: Some(match change {
                Change::Put { object, expect } => ChangeKind::Put(wire::Put {
                    object: Some(object.into()),
                    expect: Some(expect.into()),
                }),
                Change::Delete { key, expect } => ChangeKind::Delete(wire::Delete {
                    key: Some(key.into()),
                    expect: Some(expect.into()),
                }),
                Change::Guard { key, expect } => ChangeKind::Guard(wire::Guard {
                    key: Some(key.into()),
                    expect: Some(expect.into()),
                }),
            }),
        }
    }
}

fn read_change(wire: wire::Change) -> Result<Change, ConvertError> {
    match object::kind(wire.kind)? {
        ChangeKind::Put(put) => read_put(put).map_err(|e| e.within("put")),
        ChangeKind::Delete(delete) => condition(delete.key, delete.expect)
            .map(|(key, expect)| Change::Delete { key, expect })
            .map_err(|e| e.within("delete")),
        ChangeKind::Guard(guard) => condition(guard.key, guard.expect)
            .map(|(key, expect)| Change::Guard { key, expect })
            .map_err(|e| e.within("guard")),
    }
}

fn read_put(wire: wire::Put) -> Result<Change, ConvertError> {
    let object = field::required("object", wire.object)?;
    let expect = field::required("expect", wire.expect)?;
    Ok(Change::Put {
        object: object::read(object).map_err(|e| e.within("object"))?,
        expect: read_expect(expect).map_err(|e| e.within("expect"))?,
    })
}

fn condition(
    key: Option<wire::ObjectKey>,
    expect: Option<wire::Expect>,
) -> Result<(ObjectKey, Expect), ConvertError> {
    let key = field::required("key", key)?;
    let expect = field::required("expect", expect)?;
    Ok((
        object::read_key(key).map_err(|e| e.within("key"))?,
        read_expect(expect).map_err(|e| e.within("expect"))?,
    ))
}

door!(Change => Change, read_change, "change");

impl From<&Expect> for wire::Expect {
    fn from(expect: &Expect) -> Self {
        wire::Expect {
            kind: Some(match expect {
                Expect::Any => ExpectKind::Any(true),
                Expect::Absent => ExpectKind::Absent(true),
                Expect::Version(version) => ExpectKind::Version(*version),
            }),
        }
    }
}

fn read_expect(wire: wire::Expect) -> Result<Expect, ConvertError> {
    Ok(match object::kind(wire.kind)? {
        ExpectKind::Any(_) => Expect::Any,
        ExpectKind::Absent(_) => Expect::Absent,
        ExpectKind::Version(version) => Expect::Version(version),
    })
}

door!(Expect => Expect, read_expect, "expect");

/// The bytes of what became of a command.
pub fn encode_result(result: &CommandResult) -> Vec<u8> {
    wire::CommandResult::from(result).encode_to_vec()
}

/// What became of a command, out of bytes.
///
/// # Errors
/// The bytes are damaged, or a field cannot be accepted.
pub fn decode_result(bytes: &[u8]) -> Result<CommandResult, ConvertError> {
    message::<wire::CommandResult>(bytes)
        .and_then(read_result)
        .map_err(|error| error.within("result"))
}

impl From<&CommandResult> for wire::CommandResult {
    fn from(result: &CommandResult) -> Self {
        wire::CommandResult {
            kind: Some(match result {
                Ok(revision) => ResultKind::Applied(*revision),
                Err(conflict) => ResultKind::Conflict(conflict.into()),
            }),
        }
    }
}

pub(super) fn read_result(wire: wire::CommandResult) -> Result<CommandResult, ConvertError> {
    Ok(match object::kind(wire.kind)? {
        ResultKind::Applied(revision) => Ok(revision),
        ResultKind::Conflict(conflict) => {
            Err(read_conflict(conflict).map_err(|e| e.within("conflict"))?)
        }
    })
}

door!(CommandResult => CommandResult, read_result, "result");

impl From<&Conflict> for wire::Conflict {
    fn from(conflict: &Conflict) -> Self {
        wire::Conflict {
            kind: wire::conflict::Kind::from(conflict.kind).into(),
            message: conflict.message.clone(),
        }
    }
}

fn read_conflict(wire: wire::Conflict) -> Result<Conflict, ConvertError> {
    Ok(Conflict {
        kind: field::enumeration::<wire::conflict::Kind, ConflictKind>("kind", wire.kind)?,
        message: wire.message,
    })
}

door!(Conflict => Conflict, read_conflict, "conflict");
