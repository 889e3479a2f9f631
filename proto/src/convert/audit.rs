//! Who changed what. Texts for people: there is nothing to refuse.

use crate::audit::Actor;
use crate::audit::AuditRecord;
use crate::time::Timestamp;
use crate::wire;

impl From<&Actor> for wire::Actor {
    fn from(actor: &Actor) -> Self {
        wire::Actor {
            identity: actor.identity.clone(),
            origin: actor.origin.clone(),
            call: actor.call.clone(),
            summary: actor.summary.clone(),
        }
    }
}

impl From<wire::Actor> for Actor {
    fn from(wire: wire::Actor) -> Self {
        Actor {
            identity: wire.identity,
            origin: wire.origin,
            call: wire.call,
            summary: wire.summary,
        }
    }
}

impl From<&AuditRecord> for wire::AuditRecord {
    fn from(record: &AuditRecord) -> Self {
        wire::AuditRecord {
            revision: record.revision,
            at_ms: record.at.as_millis(),
            actor: Some((&record.actor).into()),
        }
    }
}

impl From<wire::AuditRecord> for AuditRecord {
    fn from(wire: wire::AuditRecord) -> Self {
        AuditRecord {
            revision: wire.revision,
            at: Timestamp::from_millis(wire.at_ms),
            actor: wire.actor.map(Into::into).unwrap_or_default(),
        }
    }
}
