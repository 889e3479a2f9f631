//! Who did what, as part of the state.

use crate::store::state::State;
use std::sync::Arc;
use weft_proto::audit::Actor;
use weft_proto::audit::AuditRecord;
use weft_proto::time::Timestamp;

/// How many changes of people and joining nodes are remembered, whatever clocks say: weeks of a busy
/// team, in about 3 MB. The oldest are forgotten first; who must keep more reads them in time.
pub const AUDIT_RECORDS: usize = 10_000;

impl State {
    /// What people and joining nodes changed, as far as remembered, oldest first.
    pub fn audit(&self) -> impl Iterator<Item = &Arc<AuditRecord>> {
        self.audit.iter()
    }

    /// Remembers a change that somebody caused.
    pub(super) fn witness(&mut self, revision: u64, at: Timestamp, actor: Actor) {
        self.witnessed(AuditRecord {
            revision,
            at,
            actor,
        });
    }

    pub(super) fn witnessed(&mut self, record: AuditRecord) {
        self.audit.enqueue_mut(Arc::new(record));
        while self.audit.len() > AUDIT_RECORDS {
            self.audit.dequeue_mut();
        }
    }
}
