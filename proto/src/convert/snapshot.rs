//! The whole store in one message.

use crate::command::AppliedCommand;
use crate::command::StoreSnapshot;
use crate::convert::ConvertError;
use crate::convert::command;
use crate::convert::door;
use crate::convert::field;
use crate::convert::node::read_number;
use crate::convert::object;
use crate::object::RemovedNode;
use crate::time::Timestamp;
use crate::wire;
use prost::Message;

impl StoreSnapshot {
    /// The bytes that are stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        wire::StoreSnapshot::from(self).encode_to_vec()
    }

    /// A snapshot out of bytes.
    ///
    /// # Errors
    /// The bytes are damaged, or a field cannot be accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConvertError> {
        command::message::<wire::StoreSnapshot>(bytes)
            .and_then(read)
            .map_err(|error| error.within("snapshot"))
    }
}

impl From<&StoreSnapshot> for wire::StoreSnapshot {
    fn from(snapshot: &StoreSnapshot) -> Self {
        wire::StoreSnapshot {
            revision: snapshot.revision,
            objects: snapshot.objects.iter().map(Into::into).collect(),
            recent: snapshot.recent.iter().map(Into::into).collect(),
            removed: snapshot.removed.iter().map(Into::into).collect(),
            audit: snapshot.audit.iter().map(Into::into).collect(),
        }
    }
}

fn read(wire: wire::StoreSnapshot) -> Result<StoreSnapshot, ConvertError> {
    Ok(StoreSnapshot {
        revision: wire.revision,
        objects: field::list("objects", wire.objects, object::read)?,
        recent: field::list("recent", wire.recent, read_applied)?,
        removed: field::list("removed", wire.removed, read_removed)?,
        audit: wire.audit.into_iter().map(Into::into).collect(),
    })
}

impl From<&AppliedCommand> for wire::AppliedCommand {
    fn from(applied: &AppliedCommand) -> Self {
        wire::AppliedCommand {
            id: applied.id.to_string(),
            result: Some((&applied.result).into()),
            at_ms: applied.at.as_millis(),
        }
    }
}

fn read_applied(wire: wire::AppliedCommand) -> Result<AppliedCommand, ConvertError> {
    let result = field::required("result", wire.result)?;
    Ok(AppliedCommand {
        id: field::parse("id", &wire.id)?,
        at: Timestamp::from_millis(wire.at_ms),
        result: command::read_result(result).map_err(|e| e.within("result"))?,
    })
}

impl From<&RemovedNode> for wire::RemovedNode {
    fn from(node: &RemovedNode) -> Self {
        wire::RemovedNode {
            id: node.id.to_string(),
            hostname: node.hostname.clone(),
            number: node.number.get().into(),
            at_ms: node.at.as_millis(),
            addresses: node
                .addresses
                .iter()
                .map(|(network, addr)| wire::TaskAddress {
                    network_id: network.to_string(),
                    addr: addr.to_string(),
                })
                .collect(),
        }
    }
}

fn read_removed(wire: wire::RemovedNode) -> Result<RemovedNode, ConvertError> {
    Ok(RemovedNode {
        id: field::parse("id", &wire.id)?,
        hostname: wire.hostname,
        number: read_number(wire.number)?,
        at: Timestamp::from_millis(wire.at_ms),
        addresses: field::list("addresses", wire.addresses, |address| {
            let network = field::parse("network_id", &address.network_id)?;
            Ok((network, field::ip("addr", &address.addr)?))
        })?,
    })
}

door!(StoreSnapshot => StoreSnapshot, read, "snapshot");
