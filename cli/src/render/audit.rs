//! Who did what.

use crate::render::table;
use crate::render::time;
use serde::Serialize;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// A change that somebody caused. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditRow {
    pub(crate) revision: u64,
    pub(crate) time: String,
    pub(crate) actor: String,
    pub(crate) origin: String,
    pub(crate) call: String,
    pub(crate) summary: String,
}

/// The rows of a list, in its order.
pub(crate) fn rows(records: Vec<wire::AuditRecord>) -> Vec<AuditRow> {
    records.into_iter().map(row).collect()
}

fn row(record: wire::AuditRecord) -> AuditRow {
    let actor = record.actor.unwrap_or_default();
    AuditRow {
        revision: record.revision,
        time: time::rfc3339(Timestamp::from_millis(record.at_ms)),
        actor: actor.identity,
        origin: actor.origin,
        call: actor.call,
        summary: actor.summary,
    }
}

/// A table for people.
pub(crate) fn table(rows: &[AuditRow]) -> String {
    let header = ["REVISION", "TIME", "WHO", "FROM", "WHAT"];
    table::table(header, rows.iter().map(cells))
}

/// One row, for a list that never ends.
pub(crate) fn line(row: &AuditRow) -> String {
    let [revision, time, who, from, what] = cells(row);
    table::one_line(&format!("{revision}  {time}  {who}  {from}  {what}"))
}

fn cells(row: &AuditRow) -> [String; 5] {
    let what = if row.summary.is_empty() {
        row.call.clone()
    } else {
        row.summary.clone()
    };
    [
        row.revision.to_string(),
        row.time.clone(),
        who(&row.actor),
        row.origin.clone(),
        what,
    ]
}

/// Who it was, without the cluster, which is always this one: `user/alice`, `local/uid/0`.
fn who(identity: &str) -> String {
    let inner = identity.strip_prefix("spiffe://");
    let inner = inner.and_then(|inner| inner.split_once('/'));
    inner.map_or(identity, |(_, who)| who).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_who_did_what_and_no_line_breaks_out() {
        let record = |identity: &str, summary: &str| wire::AuditRecord {
            revision: 7,
            at_ms: 1_795_187_045_678,
            actor: Some(wire::Actor {
                identity: identity.to_owned(),
                origin: "192.0.2.9:5".to_owned(),
                call: "Control/GetJoinToken".to_owned(),
                summary: summary.to_owned(),
            }),
        };
        let rows = rows(vec![
            record("spiffe://c/user/alice", "created\nservice web"),
            record("local/uid/0", ""),
        ]);
        assert_eq!(
            table(&rows),
            "REVISION   TIME                       WHO           FROM          WHAT\n\
             7          2026-11-20T15:04:05.678Z   user/alice    192.0.2.9:5   created service web\n\
             7          2026-11-20T15:04:05.678Z   local/uid/0   192.0.2.9:5   Control/GetJoinToken"
        );
        assert_eq!(
            line(&rows[0]),
            "7  2026-11-20T15:04:05.678Z  user/alice  192.0.2.9:5  created service web"
        );
    }
}
