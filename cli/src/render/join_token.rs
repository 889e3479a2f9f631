//! Join tokens that were made for a purpose.

use crate::render::table;
use crate::render::table::capital;
use crate::render::time;
use serde::Serialize;
use std::collections::BTreeMap;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// A token in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `worker` or `manager`.
    pub(crate) role: &'static str,
    /// `valid`, `expired` or `used up`.
    pub(crate) state: &'static str,
    /// In milliseconds of Unix time; null: it does not expire.
    pub(crate) expires: Option<Timestamp>,
    /// Null: any number.
    pub(crate) uses_left: Option<u32>,
    pub(crate) used: u32,
    pub(crate) approve: bool,
    /// How many nodes wait to be let in.
    pub(crate) waiting: usize,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created: Timestamp,
}

/// A token as it is at a moment.
pub(crate) fn row(token: wire::JoinToken, now: Timestamp) -> TokenRow {
    let expires = token.expires_ms.map(Timestamp::from_millis);
    TokenRow {
        state: if expires.is_some_and(|expires| expires <= now) {
            "expired"
        } else if token.uses_left == Some(0) {
            "used up"
        } else {
            "valid"
        },
        role: match token.role() {
            wire::NodeRole::Manager => "manager",
            wire::NodeRole::Worker | wire::NodeRole::Unspecified => "worker",
        },
        waiting: token.pending.iter().filter(|node| !node.rejected).count(),
        id: token.id,
        name: token.name,
        expires,
        uses_left: token.uses_left,
        used: token.used,
        approve: token.approve,
        labels: token
            .labels
            .into_iter()
            .map(|label| (label.key, label.value))
            .collect(),
        created: Timestamp::from_millis(token.meta.unwrap_or_default().created_at_ms),
    }
}

/// A table for people.
pub(crate) fn table(rows: &[TokenRow], now: Timestamp) -> String {
    let header = [
        "ID", "NAME", "ROLE", "STATE", "EXPIRES", "USED", "LEFT", "APPROVAL", "LABELS",
    ];
    let line = |row: &TokenRow| {
        [
            row.id.chars().take(12).collect(),
            if row.name.is_empty() {
                "-".to_owned()
            } else {
                row.name.clone()
            },
            row.role.to_owned(),
            capital(row.state),
            expires(row, now),
            row.used.to_string(),
            row.uses_left
                .map_or_else(|| "any".to_owned(), |left| left.to_string()),
            match (row.approve, row.waiting) {
                (false, _) => "-".to_owned(),
                (true, 0) => "needed".to_owned(),
                (true, waiting) => format!("{waiting} waiting"),
            },
            labels(row),
        ]
    };
    let mut text = table::table(header, rows.iter().map(line));
    text.push_str(
        "\n\nBesides these, the standing token of each role admits until it is replaced: weft cluster \
         join-token --rotate worker|manager",
    );
    text
}

fn expires(row: &TokenRow, now: Timestamp) -> String {
    match row.expires {
        None => "never".to_owned(),
        Some(at) if at <= now => time::ago(now, at),
        Some(at) => format!("in {}", time::span(whole_seconds(at.since(now)))),
    }
}

fn whole_seconds(span: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(span.as_secs())
}

fn labels(row: &TokenRow) -> String {
    let labels = row.labels.iter();
    let labels = labels.map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(", ")
}

/// What there is to know of a token that was just made.
pub(crate) fn made(row: &TokenRow) -> String {
    let mut lines = vec![format!(
        "The token is shown this once; what is kept of it cannot admit anybody. It is called {}.",
        row.id.chars().take(12).collect::<String>()
    )];
    if let Some(expires) = row.expires {
        lines.push(format!("It expires at {}.", time::rfc3339(expires)));
    }
    match row.uses_left {
        None => {}
        Some(1) => lines.push("It admits one node.".to_owned()),
        Some(uses) => lines.push(format!("It admits {uses} nodes.")),
    }
    if !row.labels.is_empty() {
        lines.push(format!("Nodes get the labels {}.", labels(row)));
    }
    if row.approve {
        lines.push(
            "Nodes wait until somebody lets them in: \"weft node ls\" shows them, \"weft node \
             accept\" and \"weft node reject\" decide."
                .to_owned(),
        );
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> wire::JoinToken {
        wire::JoinToken {
            id: "abcdefghijklmnopqrstuvwxy".to_owned(),
            name: "rack 7".to_owned(),
            role: wire::NodeRole::Worker.into(),
            expires_ms: Some(3_723_000),
            uses_left: Some(2),
            used: 1,
            labels: vec![wire::Label {
                key: "zone".to_owned(),
                value: "a".to_owned(),
            }],
            ..wire::JoinToken::default()
        }
    }

    const TABLE: &str = "\
ID             NAME     ROLE      STATE     EXPIRES          USED   LEFT   APPROVAL    LABELS
abcdefghijkl   rack 7   worker    Valid     in 1h2m3s        1      2      -           zone=a
abcdefghijkl   -        manager   Used up   never            0      0      needed     
abcdefghijkl   -        manager   Expired   10 seconds ago   0      any    1 waiting  ";

    #[test]
    fn a_list_says_what_each_token_is_good_for() {
        let manager = wire::JoinToken {
            id: token().id,
            role: wire::NodeRole::Manager.into(),
            approve: true,
            ..wire::JoinToken::default()
        };
        let now = Timestamp::from_millis(0);
        let spent = wire::JoinToken {
            uses_left: Some(0),
            ..manager.clone()
        };
        let late = wire::JoinToken {
            expires_ms: Some(-10_000),
            pending: vec![wire::PendingNode::default()],
            ..manager
        };
        let rows: Vec<_> = [token(), spent, late]
            .into_iter()
            .map(|token| row(token, now))
            .collect();
        let text = table(&rows, now);
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().take(4);
            lines.map(|line| line.trim_end().to_owned()).collect()
        };
        assert_eq!(lines(&text), lines(TABLE), "{text}");
        assert!(text.contains("join-token --rotate worker|manager"));
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(json[0]["uses_left"], 2);
        assert_eq!(json[1]["state"], "used up");
        assert_eq!(json[2]["waiting"], 1);
    }

    #[test]
    fn who_makes_a_token_reads_what_it_is_good_for() {
        let text = made(&row(token(), Timestamp::from_millis(0)));
        for part in [
            "shown this once",
            "called abcdefghijkl",
            "1970-01-01T01:02:03",
            "admits 2 nodes",
            "zone=a",
        ] {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
        assert!(!text.contains("accept"), "{text}");
    }
}
