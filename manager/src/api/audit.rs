//! Who did what.

use crate::store::State;
use std::sync::Arc;
use weft_proto::audit::AuditRecord;
use weft_proto::wire;

/// The newest records that were asked for, oldest first.
pub(super) fn list(state: &State, request: &wire::ListAuditRequest) -> Vec<Arc<AuditRecord>> {
    let wanted = |record: &&Arc<AuditRecord>| {
        record.at.as_millis() >= request.since_ms
            && record.revision > request.after_revision
            && record.actor.identity.contains(&request.actor)
    };
    let mut records: Vec<_> = state.audit().filter(wanted).cloned().collect();
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    if limit > 0 {
        records.drain(..records.len().saturating_sub(limit));
    }
    records
}
